// Ends a minute, and how long they took, of the instances that ended last: as far back as a thousand of them reach.
import { Paper, SimpleGrid, Text, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { api, ask, type Instance } from "../api/client";

const BUCKETS = 30;

/** Middles of spans of time, ends in each by the minute, and the median of how long those took, in seconds. */
export function seriesOf(ended: Instance[]): [number[], number[], (number | null)[]] {
  const rows = ended.filter((i) => i.completed_at).map((i) => ({ at: Date.parse(i.completed_at!) / 1_000, took: (Date.parse(i.completed_at!) - Date.parse(i.created_at)) / 1_000 }));
  if (rows.length < 2) return [[], [], []];
  const first = Math.min(...rows.map((r) => r.at));
  const size = Math.max(1, (Math.max(...rows.map((r) => r.at)) - first) / BUCKETS);
  const groups = Array.from({ length: BUCKETS }, () => [] as number[]);
  for (const r of rows) groups[Math.min(BUCKETS - 1, Math.floor((r.at - first) / size))]!.push(r.took);
  return [
    groups.map((_, n) => first + (n + 0.5) * size),
    groups.map((g) => (g.length / size) * 60),
    groups.map((g) => (g.length ? g.sort((a, b) => a - b)[Math.floor(g.length / 2)]! : null)),
  ];
}

export default function Throughput() {
  const query = { status: ["completed", "failed", "cancelled", "terminated"] as never, sort: "updated" as const, descending: true, limit: 1_000 };
  const found = useQuery({ queryKey: ["list", "ended"], queryFn: () => ask(api.GET("/api/v1/instances", { params: { query } })), staleTime: 10_000 });
  const [times, rates, spans] = seriesOf(found.data?.items ?? []);
  if (times.length === 0) return null;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
      <Chart title="Instances that ended, a minute" times={times} values={rates} />
      <Chart title="How long they took, median, seconds" times={times} values={spans} />
    </SimpleGrid>
  );
}

function Chart({ title, times, values }: { title: string; times: number[]; values: (number | null)[] }) {
  const { ref, width } = useElementSize();
  const place = useRef<HTMLDivElement>(null);
  const dark = useComputedColorScheme("light") === "dark";
  useEffect(() => {
    if (!place.current || width < 50) return;
    const ink = dark ? "#c1c2c5" : "#495057";
    const lines = { stroke: ink, grid: { stroke: dark ? "#373a40" : "#e9ecef", width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width, height: 160, cursor: { show: false }, legend: { show: false }, axes: [lines, { ...lines, size: 50 }],
        series: [{}, { stroke: dark ? "#3bc9db" : "#0b7285", width: 2, fill: dark ? "#3bc9db22" : "#0b728522", spanGaps: true }],
        scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 0.001)] } },
      },
      [times, values], place.current,
    );
    return () => plot.destroy();
  }, [times, values, width, dark]);
  return (
    <Paper withBorder p="sm">
      <Text size="sm" c="dimmed" mb={4}>{title}</Text>
      <div ref={ref}><div ref={place} role="img" aria-label={`${title}: lately ${values.filter((v) => v !== null).at(-1)?.toFixed(2) ?? "nothing"}`} /></div>
    </Paper>
  );
}
