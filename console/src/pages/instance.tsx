// One instance: why it rests, what it did, what it knows, and what may be done to it.
import { Alert, Badge, Group, Paper, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { api, ask, type Instance } from "../api/client";
import { Actions } from "../instance/actions";
import { DataTab } from "../instance/data";
import { DiagramTab } from "../instance/diagram";
import { HistoryTab } from "../instance/history";
import { AuditTab, ChildrenTab, SignalsTab, TasksTab } from "../instance/lists";
import { TimelineTab } from "../instance/timeline";
import { placeOf, StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { Shown } from "../parts/told";
import { useSession } from "../session";

const route = getRouteApi("/instances/$id");

export function InstancePage() {
  const { id } = route.useParams();
  const found = useQuery({
    queryKey: ["instance", id, "row"],
    queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}", { params: { path: { instance_id: id } } })),
  });
  return <Shown of={found}>{(instance) => <Whole key={id} instance={instance} />}</Shown>;
}

function Whole({ instance: i }: { instance: Instance }) {
  const { tab = "diagram", do: asked, from, to } = route.useSearch();
  const navigate = route.useNavigate();
  const { may } = useSession();
  const tabs = [
    { value: "diagram", label: "Diagram", shown: may("get_definition"), page: <DiagramTab instance={i} /> },
    { value: "timeline", label: "Timeline", shown: may("get_history"), page: <TimelineTab id={i.id} /> },
    { value: "history", label: "History", shown: may("get_history"), page: <HistoryTab id={i.id} /> },
    { value: "data", label: "Data", shown: may("get_data"), page: <DataTab key={`${from}-${to}`} instance={i} from={from} to={to} /> },
    { value: "signals", label: "Signals and timers", shown: may("get_signals"), page: <SignalsTab id={i.id} /> },
    { value: "tasks", label: "Tasks", shown: may("list_tasks"), page: <TasksTab id={i.id} /> },
    { value: "children", label: "Children", shown: may("get_children"), page: <ChildrenTab id={i.id} /> },
    { value: "audit", label: "Audit", shown: may("read_audit"), page: <AuditTab id={i.id} /> },
  ].filter((t) => t.shown);

  return (
    <Stack>
      <Group justify="space-between" align="start">
        <Stack gap={2}>
          <Group gap="sm"><Title order={1} size="h2">{i.key ?? i.definition}</Title><StatusBadge status={i.status} fault={i.fault} /></Group>
          <Text size="sm" c="dimmed">
            <Link to="/definitions/$name/$version" params={{ name: i.definition, version: String(i.version) }}>{i.definition} version {i.version}</Link>
            {" · started "}<When at={i.created_at} />{" · "}<span className="mono id">{i.id}</span>
            {i.parent && <> · child of <Link to="/instances/$id" params={{ id: i.parent.split("/")[0]! }}>its parent</Link></>}
          </Text>
        </Stack>
        <Actions instance={i} asked={asked} answered={() => { if (asked) void navigate({ search: (s) => ({ ...s, do: undefined }), replace: true }); }} />
      </Group>
      <Banner instance={i} />
      <Tabs value={tab} onChange={(v) => void navigate({ search: (s) => ({ ...s, tab: v ?? undefined }), replace: true })} keepMounted={false}>
        <Tabs.List>{tabs.map((t) => <Tabs.Tab key={t.value} value={t.value}>{t.label}</Tabs.Tab>)}</Tabs.List>
        {tabs.map((t) => <Tabs.Panel key={t.value} value={t.value} pt="md">{t.page}</Tabs.Panel>)}
      </Tabs>
    </Stack>
  );
}

/** In one sentence: what it waits for, and what would move it. */
function Banner({ instance: i }: { instance: Instance }) {
  const { may } = useSession();
  const why = useQuery({
    queryKey: ["instance", i.id, "explain"],
    queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/explain", { params: { path: { instance_id: i.id } } })),
    enabled: may("get_explanation"),
  });
  const where = placeOf(i);
  const reasons = why.data?.why ?? [];
  return (
    <>
      {i.failure && (
        <Alert color="red" title={`Failed${i.failure.path ? ` at ${i.failure.path}` : ""}: ${i.failure.code}`}>
          {i.failure.message}{i.failure.attempt > 1 && ` (attempt ${i.failure.attempt})`}
        </Alert>
      )}
      {i.fault && <Alert color="orange" title="It was set aside">{i.fault} Mend the cause, then resume it.</Alert>}
      <Paper withBorder p="md" role="status" aria-label="What it waits for">
        <Text className="sentence" component="div">
          {SAID[i.status] ?? i.status}{where && <> {i.completed_at ? "in" : "at"} <b>{where}</b></>}
          {i.completed_at ? <> <When at={i.completed_at} /></> : <>, since <When at={i.updated_at} /></>}
          {i.reason && `: ${i.reason}`}.{" "}
          {!i.completed_at && reasons.filter((r) => r.kind !== "timer").map((r, n) => <Reason key={n} text={sentence(r.text)} />)}
          {i.wake_at && !i.completed_at && <>Time moves it <When at={i.wake_at} />.</>}
        </Text>
        {(why.data?.moves.length ?? 0) > 0 && (
          <Group gap={6} mt="xs"><Text size="sm" c="dimmed">What moves it:</Text>{why.data!.moves.map((m) => <Badge key={m} variant="default" tt="none" fw={500}>{m}</Badge>)}</Group>
        )}
      </Paper>
    </>
  );
}

const SAID: Record<string, string> = {
  created: "Waits to begin", running: "At work", waiting: "Waits", paused: "Paused", completed: "Completed", failed: "Failed", cancelled: "Was cancelled",
  terminated: "Was terminated",
};

const TASK = /the task ([0-9a-f]{8}-[0-9a-f-]{27})/;

/** A task is led to, instead of told by its id. */
function Reason({ text }: { text: string }) {
  const found = TASK.exec(text);
  if (!found) return <>{text} </>;
  return <>{text.slice(0, found.index)}<Link to="/tasks" search={{ whose: "all", task: found[1] }}>the task</Link>{text.slice(found.index + found[0].length)} </>;
}

/** One that begins with the path of a node keeps it as it is. */
function sentence(text: string): string {
  const [first = ""] = text.split(" ", 1);
  return `${/[/[]/.test(first) ? text.charAt(0) : text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
