// All instances, as the filters in the address say.
import { Button, Group, Select, Table, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { BulkActions } from "../parts/bulk";
import { placeOf, StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { Empty, Page, Wrong } from "../parts/told";
import { useSession } from "../session";
import { Scrolls } from "../parts/scrolls";
import { Views } from "../parts/views";
import { queries } from "../queries";
import { FilterBar, type Filters as FilterChanges } from "./filterBar";

const route = getRouteApi("/instances");
const PAGE = 200;
const LIVE = 3; // pages that are asked anew whenever something moves
const AHEAD = 60; // rows before the end
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

/** Pages of a list, told again when something moves: as long as it is short. A long one is left as it is, and says so. */
function usePages(filters: Filters) {
  const found = useInfiniteQuery({
    queryKey: ["rows", filters],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/v1/instances", { params: { query: { ...asked(filters), limit: PAGE, cursor: pageParam ?? undefined } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.cursor,
    refetchInterval: false,
    staleTime: 0,
  });
  const tick = useQuery({ queryKey: ["list", "tick"], queryFn: () => Date.now() });
  const short = (found.data?.pages.length ?? 0) <= LIVE;
  const shown = useRef(tick.data);
  const behind = tick.data !== undefined && shown.current !== undefined && tick.data !== shown.current;
  useEffect(() => {
    if (!short || tick.data === undefined) return;
    if (shown.current !== undefined && shown.current !== tick.data) void found.refetch({ cancelRefetch: false });
    shown.current = tick.data;
  }, [tick.data, short]);
  const again = () => {
    shown.current = tick.data;
    void queries.resetQueries({ queryKey: ["rows", filters] });
  };
  return { found, behind: behind && !short, again };
}

export function Instances() {
  const filters = route.useSearch();
  const { may } = useSession();
  const { found, behind, again } = usePages(filters);
  const rows = found.data?.pages.flatMap((p) => p.items) ?? [];
  const filtered = Object.keys(filters).length > 0;

  return (
    <Page title="Instances" aside={<><Views filters={filters} /><BulkActions filters={filters} /></>}>
      <Filter filters={filters} rows={rows} />
      {found.error && <Wrong error={found.error} again={() => void found.refetch()} />}
      {behind && <Button variant="light" onClick={again}>Something has moved: show it from the top</Button>}
      {rows.length > 0 && <Rows rows={rows} more={found.hasNextPage && !found.isFetchingNextPage ? () => void found.fetchNextPage() : undefined} />}
      {found.data && rows.length === 0 && (
        <Empty title={filtered ? "No instance matches" : "There are no instances yet"}>
          {filtered ? <Link to="/instances">Without filters</Link> : may("start_instance") ? <Link to="/definitions">Start one from its definition</Link> : "They show up here as soon as they are started."}
        </Empty>
      )}
      {rows.length > 0 && <Text size="sm" c="dimmed" role="status">{rows.length.toLocaleString()} shown{found.hasNextPage ? ", more as you go down" : ", that is all"}</Text>}
    </Page>
  );
}

/** Of a hundred thousand only those in sight are in the page; the next ones are asked for before one gets there. */
function Rows({ rows, more }: { rows: Instance[]; more?: () => void }) {
  const place = useRef<HTMLTableSectionElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop((place.current?.getBoundingClientRect().top ?? 0) + window.scrollY), []);
  const window_ = useWindowVirtualizer({ count: rows.length, estimateSize: () => 47, overscan: 20, scrollMargin: top, getItemKey: (n) => rows[n]!.id });
  const seen = window_.getVirtualItems();
  const last = seen.at(-1)?.index ?? 0;
  useEffect(() => { if (more && last >= rows.length - AHEAD) more(); }, [last, rows.length, more]);
  const before = (seen[0]?.start ?? top) - top;
  const behind = window_.getTotalSize() - ((seen.at(-1)?.end ?? top) - top);
  return (
    <Scrolls label="Instances">
      <Table className="rows" verticalSpacing="xs" aria-rowcount={rows.length}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Status</Table.Th><Table.Th>Definition</Table.Th><Table.Th className="wide">State</Table.Th><Table.Th>Key or id</Table.Th>
            <Table.Th className="wide">Started</Table.Th><Table.Th>Moved</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody ref={place}>
          {before > 0 && <tr aria-hidden style={{ height: before }}><td /></tr>}
          {seen.map((v) => <Row key={v.key} instance={rows[v.index]!} index={v.index} measure={window_.measureElement} />)}
          {behind > 0 && <tr aria-hidden style={{ height: behind }}><td /></tr>}
        </Table.Tbody>
      </Table>
    </Scrolls>
  );
}

const Row = memo(function Row({ instance: i, index, measure }: { instance: Instance; index: number; measure: (row: Element | null) => void }) {
  return (
    <tr data-index={index} ref={measure} className="row">
      <td><StatusBadge status={i.status} fault={i.fault} /></td>
      <td style={{ whiteSpace: "nowrap" }}>{i.definition} <small className="faint">v{i.version}</small></td>
      <td className="wide">{placeOf(i)}{i.failure && <Text span c="red" size="xs" className="clip" title={i.failure.message}>{i.failure.code}: {i.failure.message}</Text>}</td>
      <td><Link to="/instances/$id" params={{ id: i.id }} className="clip mono" title={i.id}>{i.key ?? i.id}</Link></td>
      <td className="wide"><When at={i.created_at} /></td>
      <td><When at={i.updated_at} /></td>
    </tr>
  );
});

function Filter({ filters, rows }: { filters: Filters; rows: Instance[] }) {
  const navigate = route.useNavigate();
  const { may } = useSession();
  const definitions = useQuery({ queryKey: ["list", "definitions"], queryFn: () => ask(api.GET("/api/v1/definitions")), enabled: may("list_definitions") });
  const known = definitions.data?.items ?? [];
  const states = known
    .filter((d) => filters.definition === undefined || d.name === filters.definition)
    .flatMap((d) => ((d.outline as { states?: { name: string }[] }).states ?? []).map((s) => s.name));
  const attributes = new Set(rows.slice(0, PAGE).flatMap((i) => Object.entries(i.attributes).map(([name, value]) => `${name}=${String(value)}`)));
  const set = (changes: FilterChanges) => void navigate({
    search: (now) => Object.fromEntries(Object.entries({ ...now, ...changes }).filter(([, v]) => v !== undefined && v !== "" && v !== null && v.length !== 0)),
    replace: true,
  });
  return (
    <Group gap="sm" role="search" align="start">
      <FilterBar
        filters={filters} set={set} states={states} definitions={[...new Set(known.map((d) => d.name))]}
        attributes={[...attributes].filter((a) => !a.includes(" ")).sort().slice(0, 200)}
      />
      <Select
        aria-label="Order" data={[{ value: "created", label: "newest first" }, { value: "updated", label: "last moved first" }]} allowDeselect={false}
        value={filters.sort === "updated" ? "updated" : "created"} w={160} onChange={(v) => set({ sort: v === "updated" ? v : undefined })}
      />
    </Group>
  );
}
