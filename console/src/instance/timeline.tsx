// The waterfall: when each node queued, ran and waited.
import { Box, Group, Table, Text, Tooltip } from "@mantine/core";
import { span, useNow } from "../parts/time";
import { Empty, Shown } from "../parts/told";
import { useHistory } from "./history";
import { type Phase, spansOf } from "./spans";
import { Scrolls } from "../parts/scrolls";

const COLORS: Record<Phase["kind"], string> = {
  runs: "var(--mantine-color-cyan-7)", waits: "var(--mantine-color-gray-5)", queues: "var(--mantine-color-yellow-6)",
};
const WORDS: Record<Phase["kind"], string> = { runs: "ran", waits: "waited", queues: "queued" };

export function TimelineTab({ id }: { id: string }) {
  const found = useHistory(id);
  const now = useNow(1_000);
  return (
    <Shown of={found}>
      {({ items }) => {
        const rows = spansOf(items);
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
            <Scrolls label="Timeline">
              <Table verticalSpacing={4} style={{ tableLayout: "fixed", minWidth: 480 }}>
                <Table.Thead><Table.Tr><Table.Th w="32%">Node</Table.Th><Table.Th>When</Table.Th><Table.Th w={90} ta="right">Ran</Table.Th></Table.Tr></Table.Thead>
                <Table.Tbody>
                  {rows.map((r) => (
                    <Table.Tr key={r.path}>
                      <Table.Td><Text size="sm" c={r.failed ? "red" : undefined} className="clip" title={r.path}>{r.path}</Text></Table.Td>
                      <Table.Td>
                        <div className="attempt">
                          {r.phases.map((p, n) => {
                            const to = p.to ?? now;
                            return (
                              <Tooltip key={n} label={`${WORDS[p.kind]} ${span((to - p.from) / 1_000)} (${p.run.replace("_", " ")})`}>
                                <span style={{ left: `${((p.from - from) / whole) * 100}%`, width: `${Math.max(0.3, ((to - p.from) / whole) * 100)}%`, background: COLORS[p.kind] }} />
                              </Tooltip>
                            );
                          })}
                        </div>
                      </Table.Td>
                      <Table.Td ta="right"><Text size="sm">{span(sum(r.phases.filter((p) => p.kind === "runs"), now) / 1_000)}</Text></Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Scrolls>
          </>
        );
      }}
    </Shown>
  );
}

function sum(phases: Phase[], now: number): number {
  return phases.reduce((whole, p) => whole + (p.to ?? now) - p.from, 0);
}
