// Limits: who holds slots of them and who waits, and those that definitions have of which nobody holds any.
import { Anchor, Button, Group, Progress, Stack, Table, Text, Title } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { Rows } from "../instance/lists";
import { span, When } from "../parts/time";
import { Wrong } from "../parts/told";
import { useSession } from "../session";

const PAGE = 50;
const FEW = 5; // tickets shown before one asks for more
const MANY = 1_000;

interface Declared {
  size: number;
  per?: number; // microseconds
  key?: string;
}

export function Limits() {
  const { may } = useSession();
  const found = useInfiniteQuery({
    queryKey: ["list", "limits"],
    queryFn: ({ pageParam }) => ask(api.GET("/api/v1/limits", { params: { query: { after: pageParam, limit: PAGE, tickets: FEW + 1 } } })),
    initialPageParam: "",
    getNextPageParam: (last) => (last.items.length === PAGE ? last.items.at(-1)?.name : undefined),
    refetchInterval: 5_000,
  });
  const used = found.data?.pages.flatMap((p) => p.items) ?? [];
  return (
    <Stack gap="xs">
      <Title order={2} size="h4">Limits</Title>
      {found.error && <Wrong error={found.error} again={() => void found.refetch()} />}
      {found.data && used.length === 0 && <Text size="sm" c="dimmed">Nobody holds a slot of a limit just now, and nobody waits for one.</Text>}
      {used.length > 0 && <Rows head={["Name", "Held", "Waiting", "By"]}>{used.map((l) => <Used key={l.name} limit={l} />)}</Rows>}
      {found.hasNextPage && <Group><Button size="xs" variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>More limits</Button></Group>}
      {may("list_definitions") && <Known />}
    </Stack>
  );
}

function Used({ limit }: { limit: Schemas["LimitInfo"] }) {
  const [all, setAll] = useState(false);
  const more = useQuery({
    queryKey: ["list", "limits", limit.name],
    queryFn: () => ask(api.GET("/api/v1/limits", { params: { query: { name: limit.name, tickets: MANY } } })),
    enabled: all,
    refetchInterval: 5_000,
  });
  const tickets = all ? (more.data?.items[0]?.tickets ?? limit.tickets) : limit.tickets.slice(0, FEW);
  const others = limit.tickets.length === 0 ? "other tenants" : "";
  return (
    <Table.Tr>
      <Table.Td miw={150}><Text size="sm" className="mono" style={{ overflowWrap: "anywhere" }}>{limit.name}</Text></Table.Td>
      <Table.Td miw={130}>
        {limit.held} of {limit.size}{limit.per ? ` in ${span(limit.per)}` : ""}
        <Progress value={(100 * limit.held) / limit.size} color={limit.held >= limit.size ? "orange" : "cyan"} size="sm" aria-label={`${limit.held} of ${limit.size} slots of ${limit.name} are held`} />
      </Table.Td>
      <Table.Td>{limit.waiting}</Table.Td>
      <Table.Td>
        {others}
        {tickets.map((t) => (
          <Text size="sm" key={t.instance_id + t.path} style={{ whiteSpace: "nowrap" }}>
            <Link to="/instances/$id" params={{ id: t.instance_id }}>{t.instance_id.slice(-12)}</Link>{" "}
            {t.since ? <>holds {t.amount > 1 ? `${t.amount} ` : ""}since <When at={t.since} /></> : <>waits{t.amount > 1 ? ` for ${t.amount}` : ""}</>}
            {t.path !== "!hold" && <Text span size="xs" c="dimmed" className="mono"> {t.path}</Text>}
          </Text>
        ))}
        {!all && limit.tickets.length > FEW && <Anchor component="button" size="sm" onClick={() => setAll(true)}>all of them</Anchor>}
      </Table.Td>
    </Table.Tr>
  );
}

/** As the definitions say them. */
function Known() {
  const found = useQuery({ queryKey: ["list", "definitions"], queryFn: () => ask(api.GET("/api/v1/definitions")) });
  const limits = new Map<string, { limit: Declared; of: string[] }>();
  for (const d of found.data?.items ?? []) {
    for (const [name, limit] of Object.entries((d.outline as { limits?: Record<string, Declared> }).limits ?? {})) {
      limits.set(name, { limit, of: [...new Set([...(limits.get(name)?.of ?? []), d.name])] });
    }
  }
  if (limits.size === 0) return <Text size="sm" c="dimmed">No definition limits how many go on at a time: Limit(5) on an activity or a workflow does.</Text>;
  return (
    <>
      <Title order={3} size="h5" mt="xs">As the definitions say</Title>
      <Rows head={["Limit", "At a time", "Of each", "In"]}>
        {[...limits].sort().map(([name, { limit, of }]) => (
          <Table.Tr key={name}>
            <Table.Td className="mono">{name}</Table.Td><Table.Td>{limit.size}{limit.per ? ` in ${span(limit.per / 1e6)}` : ""}</Table.Td>
            <Table.Td>{limit.key || "–"}</Table.Td><Table.Td>{of.join(", ")}</Table.Td>
          </Table.Tr>
        ))}
      </Rows>
    </>
  );
}
