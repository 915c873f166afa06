// Tenants that one reaches, what each may use, and what each has.
import { Badge, Button, Group, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { api, ask } from "../api/client";
import { Rows } from "../instance/lists";
import { COLORS } from "../parts/status";
import { span } from "../parts/time";
import { Empty, Wrong } from "../parts/told";
import { useSession } from "../session";

const LIMITS: Record<string, (n: number) => string> = {
  instances: (n) => `${n} instances at once`,
  starts_per_minute: (n) => `${n} starts a minute`,
  parallel_steps: (n) => `${n} steps at once`,
  step_timeout: (n) => `${span(n)} for a step`,
  workflow_timeout: (n) => `${span(n)} for an instance`,
};

export function Tenants() {
  const { who, change } = useSession();
  const found = useInfiniteQuery({
    queryKey: ["list", "tenants"],
    queryFn: ({ pageParam }) => ask(api.GET("/api/v1/tenants", { params: { query: { after: pageParam } } })),
    initialPageParam: "",
    getNextPageParam: (last) => last.cursor ?? undefined,
  });
  const items = found.data?.pages.flatMap((p) => p.items) ?? [];
  return (
    <>
      <Text size="sm" c="dimmed">A tenant is there as soon as it has an instance or a key. What each may use is said where the engine is made: <Text span ff="monospace" size="sm">Engine(tenants=...)</Text>.</Text>
      {found.error && <Wrong error={found.error} again={() => void found.refetch()} />}
      {found.data && items.length === 0 && <Empty title="There are no tenants yet">The first instance makes its tenant.</Empty>}
      {items.length > 0 && (
        <Rows head={["Tenant", "Instances", "May use", ""]}>
          {items.map((t) => (
            <Table.Tr key={t.name}>
              <Table.Td fw={600}>{t.name}</Table.Td>
              <Table.Td>
                <Group gap={6}>
                  {Object.entries(t.instances).map(([status, n]) => <Badge key={status} variant="light" color={COLORS[status] ?? "gray"} tt="none">{n} {status}</Badge>)}
                  {Object.keys(t.instances).length === 0 && "–"}
                </Group>
              </Table.Td>
              <Table.Td>{t.tier === null ? "not known just now: the server's log says why" : Object.entries(t.tier).map(([name, n]) => LIMITS[name]?.(n) ?? `${name} ${n}`).join(", ") || "as much as it likes"}</Table.Td>
              <Table.Td>
                {t.name === who.tenant ? <Text size="sm" c="dimmed">you look at it</Text>
                  : <Button size="xs" variant="default" onClick={() => change({ tenant: t.name })} aria-label={`Look at ${t.name}`}>Look at it</Button>}
              </Table.Td>
            </Table.Tr>
          ))}
        </Rows>
      )}
      {found.hasNextPage && <Group><Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>More</Button></Group>}
    </>
  );
}
