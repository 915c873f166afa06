// Ends a minute, and how long they took, over the time that is chosen.
import { Group, Paper, SegmentedControl, SimpleGrid, Stack, Text, Title, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { api, ask, type Schemas } from "../api/client";

const SPANS = 60;
const FEW = 15;
const PERIODS: Record<string, number> = { "10 min": 600, "1 h": 3_600, "24 h": 86_400, "7 d": 604_800, "30 d": 2_592_000 }; // seconds
type Series = [number[], ...(number | null)[][]];

/** Middles of the spans in seconds since 1970; ends in each by the minute, and of those the failed; median and 95 % in seconds. */
function seriesOf(told: Schemas["Throughput"]): { ends: Series; took: Series } {
  const begin = Date.parse(told.since) / 1_000;
  const count = Math.round((Date.parse(told.until) / 1_000 - begin) / told.width);
  const by = new Map(told.items.map((e) => [Math.round((Date.parse(e.at) / 1_000 - begin) / told.width), e]));
  const times = Array.from({ length: count }, (_, n) => begin + (n + 0.5) * told.width);
  const of = (what: (e: Schemas["Ended"]) => number, none: number | null) => times.map((_, n) => (by.has(n) ? what(by.get(n)!) : none));
  const rate = (n: number) => (n / told.width) * 60;
  return {
    ends: [times, of((e) => rate(Object.values(e.count).reduce((a, b) => a + b, 0)), 0), of((e) => rate(e.count.failed ?? 0), 0)],
    took: [times, of((e) => e.median, null), of((e) => e.p95, null)],
  };
}

function useThroughput(period: string, enabled = true) {
  return useQuery({
    queryKey: ["throughput", period],
    queryFn: () => ask(api.GET("/api/v1/metrics/throughput", { params: { query: { since: new Date(Date.now() - PERIODS[period]! * 1_000).toISOString(), spans: SPANS } } })),
    refetchInterval: 10_000,
    enabled,
  });
}

export default function Throughput() {
  const [chosen, setPeriod] = useState<string | null>(null);
  const hour = useThroughput("1 h", chosen === null);
  // Until somebody chooses: an hour, unless all of it has happened just now.
  const young = Date.now() - PERIODS["10 min"]! * 1_000;
  const period = chosen ?? (hour.data?.items.every((e) => Date.parse(e.at) > young) && hour.data.items.length > 0 ? "10 min" : "1 h");
  const found = useThroughput(period);
  const series = useMemo(() => found.data && seriesOf(found.data), [found.data]);
  const total = found.data?.items.reduce((sum, e) => sum + Object.values(e.count).reduce((a, b) => a + b, 0), 0) ?? 0;
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">Throughput</Title>
        <SegmentedControl size="xs" data={Object.keys(PERIODS)} value={period} onChange={setPeriod} aria-label="Of the last" />
      </Group>
      {series && total === 0 && <Text size="sm" c="dimmed">Nothing has ended in this time.</Text>}
      {series && total > 0 && (
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
          <Chart title="Instances that ended, a minute" names={["all", "failed"]} series={series.ends} />
          <Chart title="How long they took, seconds" names={["half of them", "95 % of them"]} series={series.took} />
        </SimpleGrid>
      )}
    </Stack>
  );
}

function Chart({ title, names, series }: { title: string; names: [string, string]; series: Series }) {
  const { ref, width } = useElementSize();
  const place = useRef<HTMLDivElement>(null);
  const dark = useComputedColorScheme("light") === "dark";
  const colours = dark ? ["#3bc9db", "#ff8787"] : ["#0b7285", "#c92a2a"];
  useEffect(() => {
    if (!place.current || width < 50) return;
    const few = (series[1]?.filter((v) => v !== null).length ?? 0) < FEW; // a line of one point is none
    const lines = { stroke: dark ? "#c1c2c5" : "#495057", grid: { stroke: dark ? "#373a40" : "#e9ecef", width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width, height: 160, cursor: { show: false }, legend: { show: false }, axes: [lines, { ...lines, size: 50 }],
        series: [
          {}, { stroke: colours[0], width: 2, fill: `${colours[0]}22`, spanGaps: true, points: { show: few, size: 6 } },
          { stroke: colours[1], width: 1.5, dash: [5, 4], spanGaps: true, points: { show: few, size: 4 } },
        ],
        scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 0.001)] } },
      },
      series as uPlot.AlignedData, place.current,
    );
    return () => plot.destroy();
  }, [series, width, dark]);
  const last = series[1]?.filter((v) => v !== null).at(-1);
  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" mb={4}>
        <Text size="sm" c="dimmed">{title}</Text>
        <Group gap="sm">{names.map((name, n) => <Text key={name} size="xs"><Text span c={colours[n]} aria-hidden>{n ? "┅ " : "━ "}</Text>{name}</Text>)}</Group>
      </Group>
      <div ref={ref}><div ref={place} role="img" aria-label={`${title}: lately ${last?.toFixed(2) ?? "nothing"}`} /></div>
    </Paper>
  );
}
