// The waterfall: when each node queued, ran and waited.
import { Box, Group, Text } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";
import { span, useNow } from "../parts/time";
import { Empty, Shown } from "../parts/told";
import { useHistory } from "./history";
import { type Phase, type Row, spansOf } from "./spans";

const COLORS: Record<Phase["kind"], string> = {
  runs: "var(--mantine-color-cyan-7)", waits: "var(--mantine-color-gray-5)", queues: "var(--mantine-color-yellow-6)",
};
const WORDS: Record<Phase["kind"], string> = { runs: "ran", waits: "waited", queues: "queued" };

export function TimelineTab({ id }: { id: string }) {
  const found = useHistory(id);
  const now = useNow(1_000);
  const rows = useMemo(() => spansOf(found.data?.items ?? []), [found.data]);
  return (
    <Shown of={found}>
      {({ items }) => {
        if (rows.length === 0) return <Empty title="No node of it has been open yet">It shows when each activity queued, ran and waited.</Empty>;
        const from = Date.parse(items[0]!.at);
        const open = rows.some((r) => r.phases.some((p) => p.to === null));
        const whole = Math.max(1, (open ? now : Date.parse(items.at(-1)!.at)) - from);
        return (
          <>
            <Group gap="md" mb="xs">
              {(["runs", "waits", "queues"] as const).map((k) => (
                <Group key={k} gap={6}><Box w={12} h={12} bg={COLORS[k]} style={{ borderRadius: 3 }} /><Text size="sm">{WORDS[k]}</Text></Group>
              ))}
              <Text size="sm" c="dimmed">{span(whole / 1_000)} in all</Text>
            </Group>
            <Bars rows={rows} from={from} whole={whole} now={now} />
          </>
        );
      }}
    </Shown>
  );
}

/** Only those in sight are in the page. */
function Bars({ rows, from, whole, now }: { rows: Row[]; from: number; whole: number; now: number }) {
  const place = useRef<HTMLDivElement>(null);
  const seen = useVirtualizer({ count: rows.length, getScrollElement: () => place.current, estimateSize: () => 28, overscan: 20 });
  return (
    <div ref={place} className="scrolls" style={{ maxHeight: "65vh" }} tabIndex={0} role="region" aria-label="Timeline">
      <div style={{ height: seen.getTotalSize(), position: "relative" }}>
        {seen.getVirtualItems().map((v) => {
          const r = rows[v.index]!;
          const ran = sum(r.phases.filter((p) => p.kind === "runs"), now);
          return (
            <div key={v.key} className="waterfall" style={{ position: "absolute", top: 0, width: "100%", height: 28, transform: `translateY(${v.start}px)` }}>
              <Text size="sm" c={r.failed ? "var(--mantine-color-red-text)" : undefined} className="clip" title={r.path}>{r.path}</Text>
              <div className="attempt">
                {r.phases.map((p, n) => {
                  const to = p.to ?? now;
                  return (
                    <span
                      key={n} title={`${WORDS[p.kind]} ${span((to - p.from) / 1_000)} (${p.run.replace("_", " ")})`}
                      style={{ left: `${((p.from - from) / whole) * 100}%`, width: `${Math.max(0.3, ((to - p.from) / whole) * 100)}%`, background: COLORS[p.kind] }}
                    />
                  );
                })}
              </div>
              <Text size="sm" ta="right">{ran > 0 ? `ran ${span(ran / 1_000)}` : ""}</Text>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function sum(phases: Phase[], now: number): number {
  return phases.reduce((whole, p) => whole + (p.to ?? now) - p.from, 0);
}
