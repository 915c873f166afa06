// When each open node was in which phase, read out of what the commits have set and unset.
import type { Schemas } from "../api/client";

export interface Phase {
  kind: "runs" | "waits" | "queues";
  run: string;
  from: number;
  to: number | null;
}

export interface Row {
  path: string;
  phases: Phase[];
  failed: boolean;
}

const KINDS: Record<string, Phase["kind"]> = { flying: "runs", stopping: "runs", ready: "queues", holding: "queues", queued: "queues" };

/** A row for each node that was open, in the order in which they were opened; a phase that goes on has no end. */
export function spansOf(entries: Schemas["HistoryEntry"][]): Row[] {
  const rows = new Map<string, Row>();
  for (const entry of entries) {
    const at = Date.parse(entry.at);
    for (const [name, value] of Object.entries(entry.set)) {
      const path = pathOf(name);
      if (path === null) continue;
      const run = String((value as { run?: string }).run ?? "flying");
      const row = rows.get(path) ?? { path, phases: [], failed: false };
      rows.set(path, row);
      end(row, at);
      row.phases.push({ kind: KINDS[run] ?? "waits", run, from: at, to: null });
    }
    for (const name of entry.unset) {
      const row = rows.get(pathOf(name) ?? "");
      if (row) end(row, at);
    }
    for (const event of entry.events) {
      const row = rows.get(event.path);
      if (row && event.type === "activity_failed") row.failed = true;
    }
    if (entry.events.some((e) => ["completed", "failed", "cancelled", "terminated"].includes(e.type) && !e.path)) {
      for (const row of rows.values()) end(row, at);
    }
  }
  return [...rows.values()];
}

function pathOf(name: string): string | null {
  return name.startsWith("open.") ? name.slice(5) : null;
}

function end(row: Row, at: number): void {
  const last = row.phases.at(-1);
  if (last && last.to === null) last.to = at;
}
