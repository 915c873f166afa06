// All instances, as the filters in the address say.
import { Button, Checkbox, Group, MultiSelect, Select, Table, Text, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { BulkActions } from "../parts/bulk";
import { placeOf, STATUSES, StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { Empty, Page, Wrong } from "../parts/told";
import { useSession } from "../session";
import { Scrolls } from "../parts/scrolls";

const route = getRouteApi("/instances");
const PAGE = 100;
type Filters = ReturnType<typeof route.useSearch>;

/** As the API takes them. */
function asked(filters: Filters) {
  const { status, attribute, fault, archived, sort, ...rest } = filters;
  return {
    ...rest,
    status: status as Instance["status"][] | undefined as never,
    attribute: attribute ? attribute.split(" ") : undefined,
    fault: fault === undefined ? undefined : fault === "true",
    archived: archived === "true",
    sort: sort === "updated" ? ("updated" as const) : ("created" as const),
    descending: true,
  };
}

export function Instances() {
  const filters = route.useSearch();
  const { may } = useSession();
  const found = useInfiniteQuery({
    queryKey: ["list", "instances", filters],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/v1/instances", { params: { query: { ...asked(filters), limit: PAGE, cursor: pageParam ?? undefined } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.cursor,
    maxPages: 100,
  });
  const rows = found.data?.pages.flatMap((p) => p.items) ?? [];
  const filtered = Object.keys(filters).length > 0;

  return (
    <Page title="Instances" aside={<BulkActions filters={filters} />}>
      <Filter filters={filters} />
      {found.error && <Wrong error={found.error} again={() => void found.refetch()} />}
      {rows.length > 0 && <Rows rows={rows} />}
      {found.data && rows.length === 0 && (
        <Empty title={filtered ? "No instance matches" : "There are no instances yet"}>
          {filtered ? <Link to="/instances">Without filters</Link> : may("start_instance") ? <Link to="/definitions">Start one from its definition</Link> : "They show up here as soon as they are started."}
        </Empty>
      )}
      {found.hasNextPage && (
        <Button variant="default" onClick={() => void found.fetchNextPage()} loading={found.isFetchingNextPage}>More</Button>
      )}
    </Page>
  );
}

function Rows({ rows }: { rows: Instance[] }) {
  return (
    <Scrolls label="Instances">
      <Table className="rows" verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Status</Table.Th><Table.Th>Definition</Table.Th><Table.Th className="wide">State</Table.Th><Table.Th>Key or id</Table.Th>
            <Table.Th className="wide">Started</Table.Th><Table.Th>Moved</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{rows.map((i) => <Row key={i.id} instance={i} />)}</Table.Tbody>
      </Table>
    </Scrolls>
  );
}

function Row({ instance: i }: { instance: Instance }) {
  return (
    <Table.Tr>
      <Table.Td><StatusBadge status={i.status} fault={i.fault} /></Table.Td>
      <Table.Td style={{ whiteSpace: "nowrap" }}>{i.definition} <Text span c="dimmed" size="xs">v{i.version}</Text></Table.Td>
      <Table.Td className="wide">{placeOf(i)}{i.failure && <Text span c="red" size="xs" className="clip" title={i.failure.message}>{i.failure.code}: {i.failure.message}</Text>}</Table.Td>
      <Table.Td><Link to="/instances/$id" params={{ id: i.id }} className="clip mono" title={i.id}>{i.key ?? i.id}</Link></Table.Td>
      <Table.Td className="wide"><When at={i.created_at} /></Table.Td>
      <Table.Td><When at={i.updated_at} /></Table.Td>
    </Table.Tr>
  );
}

function Filter({ filters }: { filters: Filters }) {
  const navigate = route.useNavigate();
  const definitions = useQuery({ queryKey: ["list", "definitions"], queryFn: () => ask(api.GET("/api/v1/definitions")) });
  const names = [...new Set(definitions.data?.items.map((d) => d.name) ?? [])];
  const states = definitions.data?.items
    .filter((d) => d.name === filters.definition)
    .flatMap((d) => ((d.outline as { states?: { name: string }[] }).states ?? []).map((s) => s.name)) ?? [];
  const set = (changes: Partial<Filters>) => void navigate({
    search: (now) => Object.fromEntries(Object.entries({ ...now, ...changes }).filter(([, v]) => v !== undefined && v !== "" && v !== null)),
    replace: true,
  });
  return (
    <Group align="end" gap="sm" role="search">
      <Select
        label="Definition" data={names} value={filters.definition ?? null} searchable clearable w={200}
        onChange={(v) => set({ definition: v ?? undefined, state: undefined })}
      />
      <MultiSelect
        label="Status" data={[...STATUSES]} value={filters.status ?? []} clearable w={220} placeholder={filters.status?.length ? "" : "any"}
        onChange={(v) => set({ status: v.length ? v : undefined })}
      />
      {states.length > 0 && (
        <Select label="State" data={[...new Set(states)]} value={filters.state ?? null} clearable searchable w={160} onChange={(v) => set({ state: v ?? undefined })} />
      )}
      <Words label="Key" value={filters.key} set={(key) => set({ key })} />
      <Words label="Attribute" value={filters.attribute} set={(attribute) => set({ attribute })} placeholder="name=value" />
      <Select
        label="Order" data={[{ value: "created", label: "newest first" }, { value: "updated", label: "last moved first" }]} allowDeselect={false}
        value={filters.sort === "updated" ? "updated" : "created"} w={160} onChange={(v) => set({ sort: v === "updated" ? v : undefined })}
      />
      <Checkbox label="Set aside" checked={filters.fault === "true"} onChange={(e) => set({ fault: e.currentTarget.checked ? "true" : undefined })} mb={8} />
      <Checkbox label="Archived" checked={filters.archived === "true"} onChange={(e) => set({ archived: e.currentTarget.checked ? "true" : undefined })} mb={8} />
    </Group>
  );
}

/** A text that is a filter once it is whole: on Enter, or when one leaves it. */
function Words({ label, value, set, placeholder }: { label: string; value?: string; set: (v?: string) => void; placeholder?: string }) {
  const [now, setNow] = useState(value ?? "");
  useEffect(() => setNow(value ?? ""), [value]);
  const done = () => { if (now !== (value ?? "")) set(now || undefined); };
  return (
    <TextInput
      label={label} value={now} placeholder={placeholder} w={150} onChange={(e) => setNow(e.currentTarget.value)} onBlur={done}
      onKeyDown={(e) => { if (e.key === "Enter") done(); }}
    />
  );
}
