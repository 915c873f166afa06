// What the history says of each box: where the instance was, is, and what failed there.
import type { Instance, Schemas } from "../api/client";

export type Mark = "now" | "done" | "failed" | "undone" | "";
type Entry = Schemas["HistoryEntry"];

export interface Marks {
  boxes: Map<string, Mark>;
  ways: Set<string>; // "from>to" of what was gone
}

/** `Pay~2/poll`, `work/lines[17]/pack`: without visits, iterations and items, as a definition knows it. */
export function addressOf(path: string): string {
  return path.replace(/[~#@]\d+|\[\d+\]/g, "");
}

export function marksOf(instance: Instance, entries: Entry[]): Marks {
  const boxes = new Map<string, Mark>();
  const ways = new Set<string>();
  for (const entry of entries) {
    for (const event of entry.events) {
      const at = addressOf(event.path);
      switch (event.type) {
        case "state_entered":
          boxes.set(at, "done");
          break;
        case "transitioned": {
          const machine = at ? `${at}:` : "";
          ways.add(`${machine}${String(event.detail.from)}>${machine}${String(event.detail.to)}`);
          break;
        }
        case "activity_completed":
        case "wait_ended":
        case "task_completed":
        case "join_resolved":
        case "loop_ended":
        case "child_reported":
          boxes.set(at, "done");
          break;
        case "activity_failed":
          boxes.set(at, "failed");
          break;
        case "compensation_completed":
          boxes.set(addressOf(String(event.detail.of)), "undone");
          break;
        default:
      }
    }
  }
  for (const path of Object.keys(instance.open)) boxes.set(addressOf(path), "now");
  if (instance.state) boxes.set(instance.state, instance.status === "failed" ? "failed" : instance.completed_at ? "done" : "now");
  if (instance.failure?.path) boxes.set(addressOf(instance.failure.path), "failed");
  return { boxes, ways };
}

export interface Seen {
  at: string;
  revision: number;
  type: string;
  path: string;
  detail: Record<string, unknown>;
  changed: Record<string, unknown>;
}

/** What happened at a box, what undid it too; with the data that the same commit has set. */
export function seenAt(address: string, entries: Entry[]): Seen[] {
  const found: Seen[] = [];
  const undoes = new Map<string, string>(); // by the path of what undoes, of what it undoes
  for (const entry of entries) {
    const changed = Object.fromEntries(Object.entries(entry.set).filter(([k]) => k.startsWith("data.")).map(([k, v]) => [k.slice(5), v]));
    for (const event of entry.events) {
      if (event.type === "compensation_began") undoes.set(event.path, String(event.detail.of));
      const at = addressOf(undoes.get(event.path) ?? event.path);
      if (at === address) found.push({ at: entry.at, revision: entry.revision, type: event.type, path: event.path, detail: event.detail, changed });
    }
  }
  return found;
}
