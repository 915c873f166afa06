// What needs a person now; how much is done, and how long it takes; what waits, and who works. Every number leads to its list.
import { Group, Paper, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, type LinkProps } from "@tanstack/react-router";
import { type ReactNode, Suspense } from "react";
import { api, ask, type Schemas } from "../api/client";
import { lazily } from "../parts/lazily";
import { COLORS, STATUSES } from "../parts/status";
import { span, useNow } from "../parts/time";
import { Empty, Page, Shown } from "../parts/told";
import { useSession } from "../session";

const Throughput = lazily(() => import("../parts/throughput"));
type Count = Schemas["Count"];
const MANY = 100;

export function Overview() {
  const { may, who } = useSession();
  const metrics = useQuery({ queryKey: ["list", "metrics"], queryFn: () => ask(api.GET("/api/v1/metrics")) });
  const overdue = useQuery({
    queryKey: ["list", "overdue"],
    queryFn: () => ask(api.GET("/api/v1/tasks", { params: { query: { due_to: new Date().toISOString(), limit: MANY } } })),
    enabled: may("list_tasks"),
  });
  const mine = useQuery({
    queryKey: ["list", "mine", who.actor],
    queryFn: () => ask(api.GET("/api/v1/tasks", { params: { query: { person: who.actor || "nobody", roles: who.roles, limit: MANY } } })),
    enabled: may("list_tasks"),
  });
  const aside = useQuery({
    queryKey: ["list", "fault"],
    queryFn: () => ask(api.GET("/api/v1/instances", { params: { query: { fault: true, limit: MANY } } })),
    enabled: may("list_instances"),
  });
  const breakers = useQuery({ queryKey: ["list", "breakers"], queryFn: () => ask(api.GET("/api/v1/breakers")), enabled: may("list_breakers") });
  const workers = useQuery({ queryKey: ["list", "workers"], queryFn: () => ask(api.GET("/api/v1/workers")), enabled: may("list_workers") });

  return (
    <Page title="Overview">
      <Shown of={metrics}>
        {({ items, due }) => (
          <Stack gap="lg">
            <Title order={2} size="h4">Needs a person</Title>
            <SimpleGrid cols={{ base: 2, md: 5 }} spacing="sm">
              <Figure label="failed" value={total(items, "failed")} alarming to={{ to: "/dead-letters" }} />
              <Figure label="set aside" value={many(aside.data?.items)} alarming to={{ to: "/instances", search: { fault: "true" } }} />
              <Figure label="tasks overdue" value={many(overdue.data?.items)} alarming to={{ to: "/tasks", search: { whose: "all", status: "overdue" } }} />
              <Figure label="breakers open" value={breakers.data?.items.filter((b) => b.state !== "closed").length} alarming to={{ to: "/fleet" }} />
              <Figure label="tasks for you" value={many(mine.data?.items)} to={{ to: "/tasks" }} />
            </SimpleGrid>
            <Title order={2} size="h4">At work</Title>
            <SimpleGrid cols={{ base: 2, md: 5 }} spacing="sm">
              <Figure label="running" value={total(items, "running") + total(items, "created")} to={{ to: "/instances", search: { status: ["running", "created"] } }} />
              <Figure label="waiting" value={total(items, "waiting")} to={{ to: "/instances", search: { status: ["waiting"] } }} />
              <Figure label="paused" value={total(items, "paused")} to={{ to: "/instances", search: { status: ["paused"] } }} />
              <Backlog due={due} />
              <Figure label="workers" value={workers.data?.items.filter((w) => w.alive).length} to={{ to: "/fleet" }} alarmingAt={0} />
            </SimpleGrid>
            {may("get_throughput") && <Suspense><Throughput /></Suspense>}
            <Title order={2} size="h4">Definitions</Title>
            {items.length === 0 ? <Empty title="Nothing has been started yet"><Link to="/definitions">Start one from its definition</Link></Empty> : <Bars items={items} />}
          </Stack>
        )}
      </Shown>
    </Page>
  );
}

function total(items: Count[], status: string): number {
  return items.filter((c) => c.status === status).reduce((sum, c) => sum + c.count, 0);
}

/** Beyond a hundred it matters little how many: they are not asked for, only to be counted. */
function many(items: unknown[] | undefined): string | undefined {
  return items && (items.length >= MANY ? `${MANY}+` : String(items.length));
}

interface FigureProps {
  label: string;
  value: number | string | undefined;
  to: LinkProps;
  alarming?: boolean;
  alarmingAt?: number;
  note?: ReactNode;
}

function Figure({ label, value, to, alarming = false, alarmingAt, note }: FigureProps) {
  const bad = value !== undefined && (alarmingAt !== undefined ? value === alarmingAt : alarming && value !== 0 && value !== "0");
  return (
    <Link {...to} className="plain">
      <Paper withBorder p="md" h="100%" style={bad ? { borderColor: "var(--mantine-color-red-6)" } : undefined}>
        <Text fz={28} fw={700} lh={1.1} c={bad ? "var(--mantine-color-red-text)" : undefined}>{value === undefined ? "–" : typeof value === "number" ? value.toLocaleString() : value}</Text>
        <Text size="sm" c="dimmed">{label}{note}</Text>
      </Paper>
    </Link>
  );
}

function Backlog({ due }: { due: Schemas["Due"][] }) {
  const now = useNow(5_000);
  const count = due.reduce((sum, d) => sum + d.count, 0);
  const oldest = Math.min(...due.map((d) => Date.parse(d.since)));
  return <Figure label="wait for a worker" value={count} to={{ to: "/instances", search: { sort: "updated" } }} note={count > 0 && <>, the first for {span((now - oldest) / 1_000)}</>} />;
}

function Bars({ items }: { items: Count[] }) {
  const names = [...new Set(items.map((c) => c.definition))].sort();
  return (
    <Stack gap="sm">
      {names.map((name) => {
        const own = items.filter((c) => c.definition === name);
        const sum = own.reduce((s, c) => s + c.count, 0);
        const parts = STATUSES.map((s) => [s, total(own, s)] as const).filter(([, n]) => n > 0);
        return (
          <Paper key={name} withBorder p="sm">
            <Group justify="space-between" mb={6}>
              <Link to="/instances" search={{ definition: name }}>{name}</Link>
              <Group gap="sm">
                {parts.map(([s, n]) => <Link key={s} to="/instances" search={{ definition: name, status: [s] }} className="plain"><Text span size="sm" c="dimmed">{n.toLocaleString()} {s}</Text></Link>)}
              </Group>
            </Group>
            <div className="bar" role="img" aria-label={`${name}: ${parts.map(([s, n]) => `${n} ${s}`).join(", ")}`}>
              {parts.map(([s, n]) => <span key={s} style={{ width: `${(n / sum) * 100}%`, background: `var(--mantine-color-${COLORS[s] ?? "gray"}-6)` }} />)}
            </div>
          </Paper>
        );
      })}
    </Stack>
  );
}
