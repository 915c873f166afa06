// People's work: what is mine, what is my roles', what nobody has taken; claimed, done, handed on.
import { Button, Group, Paper, SegmentedControl, Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { api, ask, type Task } from "../api/client";
import { Empty, Page, Wrong } from "../parts/told";
import { useSession } from "../session";
import { Desk, Due } from "./desk";

const route = getRouteApi("/tasks");

const WHOSE = [
  { value: "mine", label: "Mine" },
  { value: "roles", label: "My roles'" },
  { value: "nobodys", label: "Nobody's" },
  { value: "all", label: "Everybody's" },
];

export function Tasks() {
  const { who } = useSession();
  const { whose = who.how === "development" ? "all" : "roles", task: chosen, text, status = "open" } = route.useSearch();
  const navigate = route.useNavigate();
  const mine = who.actor || "nobody";
  const query = { ...theirs(whose, mine, who.roles), text, status: [status === "overdue" ? "open" : status] as Task["status"][] as never, sort: "due" as const, limit: 100 };
  const found = useInfiniteQuery({
    queryKey: ["list", "tasks", status, query],
    queryFn: ({ pageParam }) => {
      const due = status === "overdue" ? { due_to: new Date().toISOString() } : {};
      return ask(api.GET("/api/v1/tasks", { params: { query: { ...query, ...due, cursor: pageParam } } }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.cursor ?? undefined,
  });
  const items = found.data?.pages.flatMap((p) => p.items) ?? [];
  const at = items.findIndex((t) => t.id === chosen);
  const go = (id?: string) => void navigate({ search: (s) => ({ ...s, task: id }), replace: true });
  const step = (by: number) => { const next = items[Math.max(0, Math.min(items.length - 1, at + by))]; if (next) go(next.id); };
  useHotkeys([["j", () => step(1)], ["k", () => step(-1)]]);

  return (
    <Page title="Tasks" aside={<Text c="dimmed" size="sm" visibleFrom="sm">j and k: to the next, and back</Text>}>
      <Group align="end">
        <SegmentedControl data={WHOSE} value={whose} onChange={(v) => void navigate({ search: (s) => ({ ...s, whose: v, task: undefined }) })} aria-label="Whose" />
        <SegmentedControl
          data={[{ value: "open", label: "Open" }, { value: "overdue", label: "Overdue" }, { value: "completed", label: "Done" }]} value={status} aria-label="Which"
          onChange={(v) => void navigate({ search: (s) => ({ ...s, status: v === "open" ? undefined : v, task: undefined }) })}
        />
        <TextInput aria-label="In the title" placeholder="In the title" defaultValue={text} onKeyDown={(e) => { if (e.key === "Enter") { const t = e.currentTarget.value; void navigate({ search: (s) => ({ ...s, text: t || undefined }) }); } }} />
      </Group>
      {found.error && <Wrong error={found.error} again={() => void found.refetch()} />}
      {found.data === undefined ? !found.error && <Skeleton h={160} aria-label="Loading" />
        : items.length === 0 ? (
          <Empty title={whose === "mine" ? "Nothing waits for you" : "There are no such tasks"}>
            {whose === "all" || whose === "nobodys" ? "Tasks are made by workflows that wait for people: approval(...), task(...)." : "Look at everybody's, to see what waits for others."}
          </Empty>
        ) : (
          <Group align="start" gap="md" wrap="wrap">
            <Stack gap="xs" flex="1 1 320px" miw={0} component="ul" p={0} m={0} style={{ listStyle: "none" }}>
              {items.map((t) => <li key={t.id}><Line task={t} chosen={t.id === chosen} choose={() => go(t.id)} /></li>)}
              {found.hasNextPage && <li><Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>More</Button></li>}
            </Stack>
            {at >= 0 && <Desk key={items[at]!.id} task={items[at]!} />}
          </Group>
        )}
    </Page>
  );
}

/** Whose tasks they are, as the API is asked. An empty name: nobody's. */
function theirs(whose: string, person: string, roles: string[]): { person?: string; roles?: string[]; assignee?: string; claimed_by?: string } {
  if (whose === "mine") return { person };
  if (whose === "roles") return { person, roles };
  return whose === "nobodys" ? { assignee: "", claimed_by: "" } : {};
}

function Line({ task: t, chosen, choose }: { task: Task; chosen: boolean; choose: () => void }) {
  return (
    <Paper
      component="button" type="button" withBorder p="sm" w="100%" ta="left" onClick={choose} aria-current={chosen || undefined} c="inherit"
      bg={chosen ? "var(--mantine-primary-color-light)" : undefined} style={{ cursor: "pointer" }}
    >
      <Group justify="space-between" wrap="nowrap" gap="xs"><Text fw={600}>{t.title}</Text><Due task={t} /></Group>
      <Text size="sm" c="dimmed">{t.definition} · {t.claimed_by ? `taken by ${t.claimed_by}` : t.assignee ? `for ${t.assignee}` : t.role ? `for role ${t.role}` : "for anybody"}</Text>
    </Paper>
  );
}
