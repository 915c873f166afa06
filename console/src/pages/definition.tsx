// One version: its picture, how many instances stand where, its document, and a start.
import { Alert, Button, Code, Group, Modal, NumberInput, Skeleton, Stack, Table, Tabs, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Suspense, useState } from "react";
import { api, ask, type Definition, Problem } from "../api/client";
import type { Outline } from "../diagram/graph";
import { useDefinition } from "../api/definition";
import { Rows } from "../instance/lists";
import { lazily } from "../parts/lazily";
import { initial, type Schema, SchemaForm, type Values } from "../parts/schemaForm";
import { StatusBadge } from "../parts/status";
import { Empty, Page, say, Shown } from "../parts/told";
import { useSession } from "../session";

const Diagram = lazily(() => import("../diagram/diagram"));
const route = getRouteApi("/definitions/$name/$version");

export function DefinitionPage() {
  const { name, version } = route.useParams();
  const { start } = route.useSearch();
  const navigate = route.useNavigate();
  const { may } = useSession();
  const found = useDefinition(name, Number(version));
  const open = (wanted: boolean) => void navigate({ search: wanted ? { start: "yes" } : {}, replace: true });
  return (
    <Page
      title={<>{name} <Text span c="dimmed" inherit fw={400}>version {version}</Text></>}
      aside={may("start_instance") && found.data?.served && <Button onClick={() => open(true)}>Start…</Button>}
    >
      <Shown of={found}>
        {(definition) => (
          <>
            <Tabs defaultValue="diagram" keepMounted={false}>
              <Tabs.List>
                <Tabs.Tab value="diagram">Diagram</Tabs.Tab><Tabs.Tab value="instances">Instances per state</Tabs.Tab><Tabs.Tab value="document">Document</Tabs.Tab>
                <Tabs.Tab value="outline">Outline</Tabs.Tab>
              </Tabs.List>
              <Tabs.Panel value="diagram" pt="md"><Heat definition={definition} /></Tabs.Panel>
              <Tabs.Panel value="instances" pt="md"><PerState name={name} version={Number(version)} /></Tabs.Panel>
              <Tabs.Panel value="document" pt="md"><Document name={name} version={Number(version)} /></Tabs.Panel>
              <Tabs.Panel value="outline" pt="md"><Code block tabIndex={0} mah="65vh" style={{ overflow: "auto" }}>{JSON.stringify(definition.outline, null, 2)}</Code></Tabs.Panel>
            </Tabs>
            {start && <Start definition={definition} close={() => open(false)} />}
          </>
        )}
      </Shown>
    </Page>
  );
}

/** How many instances stand in each state, on the picture of it; a state leads to its list. */
function Heat({ definition: d }: { definition: Definition }) {
  const { may } = useSession();
  const navigate = useNavigate();
  const found = useQuery({ queryKey: ["list", "metrics"], queryFn: () => ask(api.GET("/api/v1/metrics")), enabled: may("get_metrics") });
  const counts = new Map<string, number>();
  for (const c of found.data?.items ?? []) if (c.definition === d.name && c.version === d.version) counts.set(c.state, (counts.get(c.state) ?? 0) + c.count);
  const outline = d.outline as unknown as Outline;
  const states = new Set(outline.states.map((s) => s.name));
  return (
    <Suspense fallback={<Skeleton h={320} aria-label="Loading" />}>
      <Diagram outline={outline} name={d.name} counts={counts} choose={(at) => states.has(at) && void navigate({ to: "/instances", search: { definition: d.name, state: at } })} />
    </Suspense>
  );
}

function PerState({ name, version }: { name: string; version: number }) {
  const found = useQuery({ queryKey: ["list", "metrics"], queryFn: () => ask(api.GET("/api/v1/metrics")) });
  return (
    <Shown of={found}>
      {({ items }) => {
        const own = items.filter((c) => c.definition === name && c.version === version);
        return own.length === 0 ? <Empty title="None has been started" /> : (
          <Rows head={["State", "Status", "How many"]}>
            {own.map((c) => (
              <Table.Tr key={c.state + c.status}>
                <Table.Td>{c.state || "–"}</Table.Td><Table.Td><StatusBadge status={c.status} /></Table.Td>
                <Table.Td><Link to="/instances" search={{ definition: name, status: [c.status], state: c.state || undefined }}>{c.count.toLocaleString()}</Link></Table.Td>
              </Table.Tr>
            ))}
          </Rows>
        );
      }}
    </Shown>
  );
}

function Document({ name, version }: { name: string; version: number }) {
  const found = useQuery({
    queryKey: ["definition", name, version, "document"],
    queryFn: () => ask(api.GET("/api/v1/definitions/{name}/versions/{version}/document", { params: { path: { name, version }, query: { format: "yaml" } }, parseAs: "text" })),
    staleTime: 300_000,
  });
  if (found.error instanceof Problem && found.error.status === 404) return <Empty title="It is no document">{found.error.message}</Empty>;
  return <Shown of={found}>{(text) => <Code block tabIndex={0} mah="65vh" style={{ overflow: "auto" }}>{text as unknown as string}</Code>}</Shown>;
}

function Start({ definition: d, close }: { definition: Definition; close: () => void }) {
  const navigate = useNavigate();
  const schema = ((d.outline as { data?: Schema }).data ?? {}) as Schema;
  const [values, setValues] = useState<Values>(() => initial(schema));
  const [key, setKey] = useState("");
  const [priority, setPriority] = useState(2);
  const start = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/instances", { body: { definition: d.name, version: d.version, data: values, key: key || null, priority } as never, headers: key ? { "Idempotency-Key": key } : {} })),
    onSuccess: (made) => { say("Started"); void navigate({ to: "/instances/$id", params: { id: made.id } }); },
  });
  const problem = start.error instanceof Problem ? start.error : null;
  const wrong = Object.fromEntries((problem?.places ?? []).map((p) => [p.pointer.split("/").at(-1) ?? "", p.message]));
  return (
    <Modal opened onClose={close} title={`Start ${d.name}`} size="lg" centered>
      <form onSubmit={(e) => { e.preventDefault(); start.mutate(); }}>
        <Stack>
          <SchemaForm schema={schema} values={values} change={setValues} wrong={wrong} />
          <Group grow align="start">
            <TextInput label="Key" description="The same again gives the first one" value={key} onChange={(e) => setKey(e.currentTarget.value)} />
            <NumberInput label="Priority" description="0 first to 4 last" min={0} max={4} value={priority} onChange={(v) => setPriority(Number(v))} />
          </Group>
          {start.error && <Alert color="red" title={start.error.message} role="alert">{problem?.remedy}</Alert>}
          <Group justify="flex-end"><Button variant="default" onClick={close}>Leave it</Button><Button type="submit" loading={start.isPending}>Start</Button></Group>
        </Stack>
      </form>
    </Modal>
  );
}
