// What happened, newest first or oldest first; each commit with what it changed, the raw entry on demand.
import { Badge, Code, Collapse, Group, Paper, SegmentedControl, Stack, Text, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { exactly } from "../parts/time";
import { Empty, Shown } from "../parts/told";

type Entry = Schemas["HistoryEntry"];

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
  return (
    <Shown of={found}>
      {({ items }) => items.length === 0 ? <Empty title="Nothing has happened yet" /> : (
        <Stack>
          <Group justify="space-between">
            <Text size="sm" c="dimmed">{items.length} commits</Text>
            <SegmentedControl size="xs" aria-label="Order" data={[{ value: "new", label: "Newest first" }, { value: "old", label: "Oldest first" }]} value={newest ? "new" : "old"} onChange={(v) => setNewest(v === "new")} />
          </Group>
          <Entries items={newest ? [...items].reverse() : items} />
        </Stack>
      )}
    </Shown>
  );
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

