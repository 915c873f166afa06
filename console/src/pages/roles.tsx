// What each role permits: operations of the API, by their names.
import { Badge, Group, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { api, ask } from "../api/client";
import { Rows } from "../instance/lists";
import { Shown } from "../parts/told";
import { useSession } from "../session";

export function useRoles() {
  const { may } = useSession();
  return useQuery({ queryKey: ["list", "roles"], queryFn: () => ask(api.GET("/api/v1/roles")), staleTime: 60_000, enabled: may("list_roles") });
}

/** Every operation that any role permits, and who of them does. */
export function Roles() {
  const found = useRoles();
  const { who } = useSession();
  return (
    <Shown of={found}>
      {({ items }) => {
        const permitted = items.map((r) => new Set(r.operations));
        const operations = [...new Set(items.flatMap((r) => r.operations))].sort();
        return (
          <>
            <Text size="sm" c="dimmed">
              Roles are given to keys, or by the claims of a token. What several roles of somebody permit is added up; what one of them denies is denied.
            </Text>
            <Rows head={["Operation", ...items.map((r) => r.name)]}>
              <Table.Tr>
                <Table.Td>as said</Table.Td>
                {items.map((r) => (
                  <Table.Td key={r.name} miw={120}>
                    {r.allow.length > 3 ? <Text size="xs" c="dimmed">{r.allow.length} patterns</Text> : <Text size="xs" className="mono">{r.allow.join(", ") || "nothing"}</Text>}
                    {r.deny.length > 0 && <Text size="xs" c="red">not {r.deny.join(", ")}</Text>}
                    {who.roles.includes(r.name) && <Group mt={2}><Badge size="xs" variant="light" tt="none">yours</Badge></Group>}
                  </Table.Td>
                ))}
              </Table.Tr>
              {operations.map((o) => (
                <Table.Tr key={o}>
                  <Table.Td className="mono">{o}</Table.Td>
                  {items.map((r, n) => <Table.Td key={r.name}>{permitted[n]?.has(o) ? <span role="img" aria-label={`${r.name} may`}>●</span> : ""}</Table.Td>)}
                </Table.Tr>
              ))}
            </Rows>
          </>
        );
      }}
    </Shown>
  );
}
