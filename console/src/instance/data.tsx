// What it knows: now, as of any revision, and what changed between two.
import { Group, NumberInput, Paper, Slider, Stack, Table, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { Json } from "../parts/json";
import { Shown } from "../parts/told";

function useData(id: string, revision: number) {
  return useQuery({
    queryKey: ["instance", id, "data", revision],
    queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/data", { params: { path: { instance_id: id }, query: { revision } } })),
    staleTime: Infinity, // what was does not change
    refetchInterval: false,
    enabled: revision >= 1,
  });
}

/** `to` is shown, compared with `from`: revisions that an address names. */
export function DataTab({ instance: i, from, to }: { instance: Instance; from?: string; to?: string }) {
  const [chosen, setChosen] = useState<number | null>(revisionOf(to));
  const [other, setOther] = useState<number | null>(revisionOf(from));
  const [at] = useDebouncedValue(chosen ?? i.revision, 150);
  const now = useData(i.id, at);
  const before = useData(i.id, other ?? 0);
  if (i.revision < 1) return <Json value={i.data} />;
  return (
    <Stack>
      <Group align="end">
        <Stack gap={4} flex={1} miw={220}>
          <Text size="sm" id="revision">As of revision {chosen ?? i.revision} of {i.revision}</Text>
          <Slider min={1} max={Math.max(2, i.revision)} disabled={i.revision < 2} value={chosen ?? i.revision} onChange={(v) => setChosen(v >= i.revision ? null : v)} thumbLabel="Revision" label={null} />
        </Stack>
        <NumberInput label="Compare with revision" min={1} max={i.revision} w={180} value={other ?? ""} onChange={(v) => setOther(typeof v === "number" ? v : null)} />
      </Group>
      <Shown of={now}>
        {(data) => (
          <>
            {other !== null && before.data !== undefined && <Difference from={before.data} to={data} names={[other, at]} />}
            <Paper withBorder p="sm" className="scrolls"><Json value={data} /></Paper>
          </>
        )}
      </Shown>
    </Stack>
  );
}

function Difference({ from, to, names }: { from: Record<string, unknown>; to: Record<string, unknown>; names: [number, number] }) {
  const fields = [...new Set([...Object.keys(from), ...Object.keys(to)])].filter((k) => JSON.stringify(from[k]) !== JSON.stringify(to[k]));
  if (fields.length === 0) return <Text size="sm">Nothing differs between {names[0]} and {names[1]}.</Text>;
  return (
    <Table withTableBorder>
      <Table.Thead><Table.Tr><Table.Th>Field</Table.Th><Table.Th>In {names[0]}</Table.Th><Table.Th>In {names[1]}</Table.Th></Table.Tr></Table.Thead>
      <Table.Tbody>
        {fields.map((f) => (
          <Table.Tr key={f}>
            <Table.Td className="mono">{f}</Table.Td>
            <Table.Td>{f in from ? <Json value={from[f]} /> : "–"}</Table.Td>
            <Table.Td>{f in to ? <Json value={to[f]} /> : "–"}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function revisionOf(said: string | undefined): number | null {
  return said !== undefined && /^[1-9]\d*$/.test(said) ? Number(said) : null;
}
