// What belongs to an instance: its inbox, timers, tasks, children, and who did what to it.
import { Stack, Table, Text, Title, UnstyledButton, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { placeOf, StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { Empty, Shown } from "../parts/told";
import { Scrolls } from "../parts/scrolls";

export function Rows({ head, children }: { head: string[]; children: ReactNode }) {
  return (
    <Scrolls label={head.filter(Boolean).join(", ")}>
      <Table className="rows" verticalSpacing="xs">
        <Table.Thead><Table.Tr>{head.map((h) => <Table.Th key={h}>{h || <VisuallyHidden>Actions</VisuallyHidden>}</Table.Th>)}</Table.Tr></Table.Thead>
        <Table.Tbody>{children}</Table.Tbody>
      </Table>
    </Scrolls>
  );
}

function of(id: string) {
  return { params: { path: { instance_id: id } } };
}

export function SignalsTab({ id }: { id: string }) {
  const inbox = useQuery({ queryKey: ["instance", id, "signals"], queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/signals", of(id))) });
  const timers = useQuery({ queryKey: ["instance", id, "timers"], queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/timers", of(id))) });
  return (
    <Stack>
      <Title order={2} size="h4">Timers</Title>
      <Shown of={timers}>
        {({ items }) => items.length === 0 ? <Text size="sm" c="dimmed">Time alone does not move it.</Text> : (
          <Rows head={["For", "Of", "Due"]}>
            {items.map((t) => <Table.Tr key={t.path + t.purpose}><Table.Td>{t.purpose}</Table.Td><Table.Td className="mono">{t.path}</Table.Td><Table.Td><When at={t.due_at} /></Table.Td></Table.Tr>)}
          </Rows>
        )}
      </Shown>
      <Title order={2} size="h4">Inbox</Title>
      <Shown of={inbox}>
        {({ items }) => items.length === 0 ? <Text size="sm" c="dimmed">Nothing was sent to it yet.</Text> : (
          <Rows head={["Received", "What", "By", "Fate", "Payload"]}>
            {items.map((s) => (
              <Table.Tr key={s.seq}>
                <Table.Td><When at={s.received_at} /></Table.Td><Table.Td>{s.name} <Text span size="xs" c="dimmed">{s.kind}</Text></Table.Td><Table.Td>{s.actor || "–"}</Table.Td>
                <Table.Td><StatusBadge status={s.status} />{s.reason && <Text size="xs" c="dimmed">{s.reason}</Text>}</Table.Td>
                <Table.Td className="mono"><span className="clip" title={JSON.stringify(s.payload)}>{JSON.stringify(s.payload)}</span></Table.Td>
              </Table.Tr>
            ))}
          </Rows>
        )}
      </Shown>
    </Stack>
  );
}

export function TasksTab({ id }: { id: string }) {
  const query = { instance_id: id, status: ["open", "completed", "withdrawn"] as never, limit: 200 };
  const found = useQuery({ queryKey: ["instance", id, "tasks"], queryFn: () => ask(api.GET("/api/v1/tasks", { params: { query } })) });
  return (
    <Shown of={found}>
      {({ items }) => items.length === 0 ? <Empty title="It has asked nobody for anything" /> : (
        <Rows head={["Task", "Status", "Who", "Opened", "Closed"]}>
          {items.map((t) => (
            <Table.Tr key={t.id}>
              <Table.Td>{t.status === "open" ? <Link to="/tasks" search={{ whose: "all", task: t.id }}>{t.title}</Link> : t.title}</Table.Td>
              <Table.Td><StatusBadge status={t.status} /></Table.Td><Table.Td>{t.closed_by || t.claimed_by || t.assignee || (t.role && `role ${t.role}`) || "anybody"}</Table.Td>
              <Table.Td><When at={t.opened_at} /></Table.Td><Table.Td><When at={t.closed_at} /></Table.Td>
            </Table.Tr>
          ))}
        </Rows>
      )}
    </Shown>
  );
}

export function ChildrenTab({ id }: { id: string }) {
  const found = useChildren(id, true);
  return (
    <Shown of={found}>
      {({ items }) => items.length === 0 ? <Empty title="It has begun no others" /> : (
        <Rows head={["Instance", "Status", "State", "Moved"]}>{items.map((c) => <Child key={c.id} instance={c} depth={0} />)}</Rows>
      )}
    </Shown>
  );
}

function useChildren(id: string, enabled: boolean) {
  return useQuery({ queryKey: ["instance", id, "children"], queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/children", of(id))), enabled });
}

/** A child, and those that it has begun itself, once one asks for them. */
function Child({ instance: c, depth }: { instance: Instance; depth: number }) {
  const [open, setOpen] = useState(false);
  const found = useChildren(c.id, open);
  const name = c.key ?? c.definition;
  return (
    <>
      <Table.Tr>
        <Table.Td style={{ paddingLeft: 8 + depth * 24, whiteSpace: "nowrap" }}>
          <UnstyledButton onClick={() => setOpen(!open)} aria-expanded={open} aria-label={`Children of ${name}`} px={6}>{open ? "▾" : "▸"}</UnstyledButton>
          <Link to="/instances/$id" params={{ id: c.id }}>{c.key ? `${c.definition} ${c.key}` : c.definition}</Link>
        </Table.Td>
        <Table.Td><StatusBadge status={c.status} fault={c.fault} /></Table.Td><Table.Td>{placeOf(c)}</Table.Td><Table.Td><When at={c.updated_at} /></Table.Td>
      </Table.Tr>
      {open && found.data?.items.map((each) => <Child key={each.id} instance={each} depth={depth + 1} />)}
      {open && found.data?.items.length === 0 && <Table.Tr><Table.Td colSpan={4} style={{ paddingLeft: 40 + depth * 24 }}><Text size="sm" c="dimmed">It has begun no others.</Text></Table.Td></Table.Tr>}
    </>
  );
}

export function AuditTab({ id }: { id: string }) {
  const query = { instance_id: id, newest_first: true, limit: 200 };
  const found = useQuery({ queryKey: ["instance", id, "audit"], queryFn: () => ask(api.GET("/api/v1/audit", { params: { query } })) });
  return (
    <Shown of={found}>
      {({ items }) => items.length === 0 ? <Empty title="Nobody has done anything to it" /> : (
        <Rows head={["When", "Who", "Did", "Reason"]}>
          {items.map((a) => (
            <Table.Tr key={a.seq}>
              <Table.Td><When at={a.at} /></Table.Td><Table.Td>{a.actor || "–"}{a.identity && <Text size="xs" c="dimmed">{a.identity}</Text>}</Table.Td>
              <Table.Td>{a.verb} {a.kind !== "instance" && a.kind}</Table.Td><Table.Td>{a.reason || "–"}</Table.Td>
            </Table.Tr>
          ))}
        </Rows>
      )}
    </Shown>
  );
}
