// Where it stands, the way it took, and what failed; of a box that is chosen, what happened there.
import { Badge, Group, Paper, Select, Skeleton, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Suspense, useMemo, useState } from "react";
import type { Instance } from "../api/client";
import { useDefinition } from "../api/definition";
import type { Outline } from "../diagram/graph";
import { addressOf, marksOf, seenAt } from "../diagram/marks";
import { lazily } from "../parts/lazily";
import { Json } from "../parts/json";
import { exactly } from "../parts/time";
import { Wrong } from "../parts/told";
import { useSession } from "../session";
import { colorOf, useHistory } from "./history";

const Diagram = lazily(() => import("../diagram/diagram"));

export function DiagramTab({ instance: i }: { instance: Instance }) {
  const { may } = useSession();
  const definition = useDefinition(i.definition, i.version);
  const history = useHistory(i.id, may("get_history"));
  const [chosen, setChosen] = useState<string>();
  const entries = history.data?.items;
  const marks = useMemo(() => marksOf(i, entries ?? []), [i, entries]);
  if (definition.error) return <Wrong error={definition.error} />;
  if (!definition.data) return <Skeleton h={320} aria-label="Loading" />;
  return (
    <Group align="start" wrap="wrap">
      <div style={{ flex: "1 1 420px", minWidth: 0 }}>
        <Suspense fallback={<Skeleton h={320} aria-label="Loading" />}>
          <Diagram outline={definition.data.outline as unknown as Outline} name={i.definition} marks={marks} chosen={chosen} choose={setChosen} />
        </Suspense>
        <Text size="xs" c="dimmed" mt={4}>▸ it is here, ✓ done, ✕ failed, ↶ undone. Choose a box to see what happened there.</Text>
      </div>
      {chosen && entries && <At key={chosen} address={chosen} entries={entries} instance={i} />}
    </Group>
  );
}

function At({ address, entries, instance: i }: { address: string; entries: Parameters<typeof seenAt>[1]; instance: Instance }) {
  const { may } = useSession();
  const [which, setWhich] = useState<string | null>(null);
  const all = seenAt(address, entries);
  const paths = [...new Set(all.map((s) => s.path))]; // of visits, rounds and items
  const seen = which === null ? all : all.filter((s) => s.path === which);
  const open = Object.entries(i.open).filter(([path]) => addressOf(path) === address);
  return (
    <Paper withBorder p="sm" flex="1 1 280px" miw={0} component="section" aria-label={`What happened at ${address}`}>
      <Title order={2} size="h5" mb="xs" className="mono">{address}</Title>
      <Stack gap="xs">
        {paths.length > 1 && <Select label="Of" data={paths} value={which} onChange={setWhich} clearable searchable placeholder={`all ${paths.length}`} size="xs" limit={100} />}
        {open.map(([path, what]) => <Text key={path} size="sm"><b>{what}</b> {path !== address && path}</Text>)}
        {seen.length === 0 && open.length === 0 && <Text size="sm" c="dimmed">Nothing has happened here.</Text>}
        {seen.slice(-30).map((s, n) => (
          <div key={n}>
            <Group gap={6}>
              <Badge variant="light" tt="none" color={colorOf(s.type)}>{s.type.replaceAll("_", " ")}</Badge>
              <Text size="xs" c="dimmed" title={exactly(s.at)}>{new Date(s.at).toLocaleTimeString()}{s.path !== address && ` · ${s.path}`}</Text>
            </Group>
            {Object.keys(s.detail).length > 0 && <Json value={s.detail} depth={1} />}
            {may("get_data") && /activity_(completed|failed)/.test(s.type) && s.revision > 1 && (
              <Link to="/instances/$id" params={{ id: i.id }} search={{ tab: "data", from: String(s.revision - 1), to: String(s.revision) }}><Text span size="xs">what it was given, and what it made of it</Text></Link>
            )}
            {/complet/.test(s.type) && Object.keys(s.changed).length > 0 && <><Text size="xs" c="dimmed">has set</Text><Json value={s.changed} depth={1} /></>}
          </div>
        ))}
      </Stack>
    </Paper>
  );
}
