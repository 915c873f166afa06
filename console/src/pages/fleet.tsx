// Who works, which circuits are open, and which messages nobody has taken.
import { Badge, Button, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, ask } from "../api/client";
import { Rows } from "../instance/lists";
import { StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { complain, Empty, Page, say, Shown } from "../parts/told";
import { queries } from "../queries";
import { useSession } from "../session";
import { Limits } from "./limits";

export function Fleet() {
  const { may } = useSession();
  return (
    <Page title="Workers and limits">
      <Workers />
      {may("list_limits") && <Limits />}
      {may("list_breakers") && <Breakers />}
      {may("list_messages") && <Messages />}
    </Page>
  );
}

function Workers() {
  const found = useQuery({ queryKey: ["list", "workers"], queryFn: () => ask(api.GET("/api/v1/workers")), refetchInterval: 5_000 });
  return (
    <Stack gap="xs">
      <Title order={2} size="h4">Workers</Title>
      <Shown of={found}>
        {({ items }) => items.length === 0 ? <Empty title="No worker runs">Start one: stepkeel worker app:engine, or serve with its own.</Empty> : (
          <Rows head={["Name", "Alive", "Serves", "Since"]}>
            {items.map((w) => (
              <Table.Tr key={w.id}>
                <Table.Td>{w.name}<Text size="xs" c="dimmed" className="mono">{w.id}</Text></Table.Td>
                <Table.Td><Badge variant="light" color={w.alive ? "green" : "red"} tt="none">{w.alive ? "alive" : "lost"}</Badge></Table.Td>
                <Table.Td>{w.serves.join(", ") || "–"}</Table.Td><Table.Td><When at={w.started_at} /></Table.Td>
              </Table.Tr>
            ))}
          </Rows>
        )}
      </Shown>
    </Stack>
  );
}

function Breakers() {
  const { may } = useSession();
  const found = useQuery({ queryKey: ["list", "breakers"], queryFn: () => ask(api.GET("/api/v1/breakers")) });
  const shut = useMutation({
    mutationFn: (name: string) => ask(api.POST("/api/v1/breakers/{name}/close", { params: { path: { name } }, body: { reason: "" } })),
    onSuccess: () => { say("Attempts go through again"); void queries.invalidateQueries({ queryKey: ["list", "breakers"] }); },
    onError: complain,
  });
  return (
    <Stack gap="xs">
      <Title order={2} size="h4">Circuit breakers</Title>
      <Shown of={found}>
        {({ items }) => items.length === 0 ? <Text size="sm" c="dimmed">Nothing behind a breaker has failed lately.</Text> : (
          <Rows head={["Name", "State", "Last attempts", "Opened", ""]}>
            {items.map((b) => (
              <Table.Tr key={b.name}>
                <Table.Td>{b.name}</Table.Td><Table.Td><StatusBadge status={b.state} /></Table.Td>
                <Table.Td className="mono" aria-label={`${[...b.recent].filter((c) => c === "1").length} of ${b.recent.length} failed`}>{[...b.recent].map((c) => (c === "1" ? "✕" : "·")).join("")}</Table.Td>
                <Table.Td><When at={b.opened_at} /></Table.Td>
                <Table.Td>{b.state !== "closed" && may("close_breaker") && <Button size="xs" variant="default" onClick={() => shut.mutate(b.name)}>Close {b.name}</Button>}</Table.Td>
              </Table.Tr>
            ))}
          </Rows>
        )}
      </Shown>
    </Stack>
  );
}

function Messages() {
  const found = useQuery({ queryKey: ["list", "messages"], queryFn: () => ask(api.GET("/api/v1/messages", { params: { query: { limit: 100 } } })) });
  return (
    <Stack gap="xs">
      <Title order={2} size="h4">Messages that nobody has taken</Title>
      <Shown of={found}>
        {({ items }) => items.length === 0 ? <Text size="sm" c="dimmed">Every message has been delivered.</Text> : (
          <Rows head={["Topic", "Of", "Since", "Tries", "Last error"]}>
            {items.map((m) => (
              <Table.Tr key={m.id}>
                <Table.Td>{m.topic}</Table.Td><Table.Td><Link to="/instances/$id" params={{ id: m.instance_id }}>{m.definition}</Link></Table.Td>
                <Table.Td><When at={m.at} /></Table.Td><Table.Td>{m.tries}</Table.Td><Table.Td>{m.error || "–"}</Table.Td>
              </Table.Tr>
            ))}
          </Rows>
        )}
      </Shown>
    </Stack>
  );
}
