// Who did what; and whether the log is as it was written.
import { Alert, Button, Group, Table, Text } from "@mantine/core";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { api, ask } from "../api/client";
import { Rows } from "../instance/lists";
import { When } from "../parts/time";
import { Empty, Page, Wrong } from "../parts/told";
import { Words } from "../parts/words";
import { useSession } from "../session";

const route = getRouteApi("/audit");
const PAGE = 100;
const FIELDS = ["actor", "verb", "kind", "subject"] as const;

export function Audit() {
  const filters = route.useSearch();
  const navigate = route.useNavigate();
  const { may } = useSession();
  const found = useInfiniteQuery({
    queryKey: ["list", "audit", filters],
    queryFn: ({ pageParam }) => ask(api.GET("/api/v1/audit", { params: { query: { ...filters, newest_first: true, limit: PAGE, before: pageParam ?? undefined } } })),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => (last.items.length < PAGE ? null : last.items.at(-1)!.seq),
  });
  const verify = useMutation({ mutationFn: () => ask(api.GET("/api/v1/audit/verification")) });
  const rows = found.data?.pages.flatMap((p) => p.items) ?? [];
  return (
    <Page title="Audit" aside={may("verify_audit") && <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>Verify the chain</Button>}>
      {verify.data && (
        <Alert color={verify.data.intact ? "green" : "red"} title={verify.data.intact ? `Intact: ${verify.data.entries.toLocaleString()} entries` : "It was changed"} role="status">
          <Text size="sm" className="mono">{verify.data.intact ? verify.data.head : verify.data.problems.join("; ")}</Text>
        </Alert>
      )}
      {verify.error && <Wrong error={verify.error} />}
      <Group role="search">{FIELDS.map((f) => <Words key={f} label={f.charAt(0).toUpperCase() + f.slice(1)} value={filters[f]} set={(v) => void navigate({ search: (s) => ({ ...s, [f]: v }), replace: true })} />)}</Group>
      {found.error && <Wrong error={found.error} again={() => void found.refetch()} />}
      {found.data && rows.length === 0 && <Empty title="Nobody has done anything like that" />}
      {rows.length > 0 && (
        <Rows head={["#", "When", "Who", "Did", "To", "Reason"]}>
          {rows.map((a) => (
            <Table.Tr key={a.seq}>
              <Table.Td>{a.seq}</Table.Td><Table.Td><When at={a.at} /></Table.Td>
              <Table.Td>{a.actor || "–"}{a.identity && a.identity !== a.actor && <Text size="xs" c="dimmed">{a.identity}</Text>}</Table.Td>
              <Table.Td>{a.verb} {a.kind}</Table.Td>
              <Table.Td>{a.instance_id ? <Link to="/instances/$id" params={{ id: a.instance_id }} className="clip mono">{a.subject}</Link> : <span className="clip">{a.subject || "–"}</span>}</Table.Td>
              <Table.Td>{a.reason || "–"}</Table.Td>
            </Table.Tr>
          ))}
        </Rows>
      )}
      {found.hasNextPage && <Button variant="default" onClick={() => void found.fetchNextPage()} loading={found.isFetchingNextPage}>More</Button>}
    </Page>
  );
}
