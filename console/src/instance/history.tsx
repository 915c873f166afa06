// What happened, newest first or oldest first; each commit with what it changed, the raw entry on demand.
import { Badge, Code, Collapse, Group, Paper, SegmentedControl, Stack, Text, TextInput, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { exactly } from "../parts/time";
import { Empty, Shown } from "../parts/told";

type Entry = Schemas["HistoryEntry"];
const MOST_NODES = 200; // shown at once

export function useHistory(id: string, enabled = true) {
  return useQuery({
    enabled,
    queryKey: ["instance", id, "history"],
    queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/history", { params: { path: { instance_id: id } } })),
  });
}

export function HistoryTab({ id }: { id: string }) {
  const found = useHistory(id);
  const [newest, setNewest] = useState(true);
  const [by, setBy] = useState<"commit" | "node">("commit");
  const [words, setWords] = useState("");
  return (
    <Shown of={found}>
      {({ items }) => {
        if (items.length === 0) return <Empty title="Nothing has happened yet" />;
        const found = matching(items, words);
        const shown = newest ? [...found].reverse() : found;
        return (
          <Stack>
            <Group justify="space-between" align="end">
              <TextInput
                label="With" placeholder="a node, an event, a name" value={words} onChange={(e) => setWords(e.currentTarget.value)} flex="1 1 200px" maw={320}
                description={found.length === items.length ? `${items.length} commits` : `${found.length} of ${items.length} commits`} inputWrapperOrder={["label", "input", "description"]}
              />
              <Group gap="xs">
                <SegmentedControl size="xs" aria-label="Grouped" data={[{ value: "commit", label: "By commit" }, { value: "node", label: "By node" }]} value={by} onChange={(v) => setBy(v as "commit" | "node")} />
                <SegmentedControl size="xs" aria-label="Order" data={[{ value: "new", label: "Newest first" }, { value: "old", label: "Oldest first" }]} value={newest ? "new" : "old"} onChange={(v) => setNewest(v === "new")} />
              </Group>
            </Group>
            {found.length === 0 && <Text size="sm" c="dimmed">Nothing of it says that.</Text>}
            {by === "commit" ? <Entries items={shown} /> : <Nodes groups={byNode(shown)} />}
          </Stack>
        );
      }}
    </Shown>
  );
}

/** Entries that say this: in an event (its type, node or details), in who did it, in the name of what they changed. */
function matching(items: Entry[], words: string): Entry[] {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return items;
  return items.filter((e) => {
    const events = e.events.map((x) => `${x.type} ${x.type.replaceAll("_", " ")} ${x.path} ${JSON.stringify(x.detail)}`);
    return [e.actor, e.worker, ...events, ...Object.keys(e.set)].join("\n").toLowerCase().includes(wanted);
  });
}

interface Group_ {
  node: string;
  entries: Entry[];
}

/** Events of one node together, in the order in which the nodes are met; what is of none belongs to the instance. */
function byNode(items: Entry[]): Group_[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of items) {
    for (const node of new Set(entry.events.map((e) => e.path))) {
      const known = groups.get(node) ?? [];
      known.push({ ...entry, events: entry.events.filter((e) => e.path === node) });
      groups.set(node, known);
    }
  }
  return [...groups].map(([node, entries]) => ({ node, entries }));
}

function Nodes({ groups }: { groups: Group_[] }) {
  const [open, setOpen] = useState<string | null>(null);
  return (
    <Stack gap="xs" className="scrolls" style={{ maxHeight: "65vh" }} tabIndex={0} role="region" aria-label="Nodes">
      {groups.slice(0, MOST_NODES).map(({ node, entries }) => (
        <Paper withBorder p="xs" key={node}>
          <UnstyledButton onClick={() => setOpen(open === node ? null : node)} aria-expanded={open === node} w="100%">
            <Group gap={6}>
              <Text span fw={600} size="sm" className="mono">{open === node ? "▾ " : "▸ "}{node || "the instance"}</Text>
              {kindsOf(entries).map(([type, n]) => <Badge key={type} variant="light" color={colorOf(type)} tt="none">{type.replaceAll("_", " ")}{n > 1 && ` × ${n}`}</Badge>)}
            </Group>
          </UnstyledButton>
          {open === node && <Stack gap={6} mt="xs">{entries.slice(0, MOST_NODES).map((e) => <One key={e.revision} entry={e} />)}</Stack>}
          {open === node && entries.length > MOST_NODES && <Text size="sm" c="dimmed">and {entries.length - MOST_NODES} more: by commit they are all there</Text>}
        </Paper>
      ))}
      {groups.length > MOST_NODES && <Text size="sm" c="dimmed">and {groups.length - MOST_NODES} more nodes: say which, above</Text>}
    </Stack>
  );
}

function kindsOf(entries: Entry[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const e of entries) for (const x of e.events) counts.set(x.type, (counts.get(x.type) ?? 0) + 1);
  return [...counts];
}

/** Ten thousand of them are as smooth as ten: only those in sight are in the page. */
function Entries({ items }: { items: Entry[] }) {
  const place = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: items.length, getScrollElement: () => place.current, estimateSize: () => 72, overscan: 10, getItemKey: (n) => items[n]!.revision,
  });
  return (
    <div ref={place} className="scrolls" style={{ maxHeight: "65vh" }} tabIndex={0} role="region" aria-label="Entries">
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {rows.getVirtualItems().map((v) => (
          <div key={v.key} ref={rows.measureElement} data-index={v.index} style={{ position: "absolute", top: 0, width: "100%", transform: `translateY(${v.start}px)`, paddingBottom: 8 }}>
            <One entry={items[v.index]!} />
          </div>
        ))}
      </div>
    </div>
  );
}

function One({ entry: e }: { entry: Entry }) {
  const [raw, setRaw] = useState(false);
  return (
    <Paper withBorder p="xs">
      <Group justify="space-between" wrap="nowrap" align="start">
        <Group gap={6}>
          {e.events.map((x, n) => (
            <Badge key={n} variant="light" color={colorOf(x.type)} tt="none" title={JSON.stringify(x.detail)}>{x.type.replaceAll("_", " ")}{x.path && ` ${x.path}`}</Badge>
          ))}
        </Group>
        <UnstyledButton onClick={() => setRaw(!raw)} aria-expanded={raw} fz="xs" c="dimmed" style={{ whiteSpace: "nowrap" }}>{raw ? "less" : "raw"}</UnstyledButton>
      </Group>
      <Text size="xs" c="dimmed" mt={4} title={exactly(e.at)}>
        {e.revision} · {new Date(e.at).toLocaleString()}{e.actor && ` · ${e.actor}`}
      </Text>
      <Collapse expanded={raw}><Code block mt="xs">{JSON.stringify(e, null, 2)}</Code></Collapse>
    </Paper>
  );
}

export function colorOf(type: string): string {
  if (/fail|lost|fault/.test(type)) return "red";
  if (/compens|undo|cancel|terminat/.test(type)) return "orange";
  if (/complet|state_entered|created/.test(type)) return "green";
  if (/signal|task/.test(type)) return "violet";
  return "gray";
}

