// People's work: what is mine, what is my roles', what nobody has taken; claimed, done, handed on.
import { Badge, Button, Group, Paper, SegmentedControl, Skeleton, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { useDefinition } from "../api/definition";
import { api, ask, Problem, type Task } from "../api/client";
import { initial, resolved, type Schema, SchemaForm, type Values } from "../parts/schemaForm";
import { quoted, Same } from "../parts/same";
import { StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { complain, Empty, Page, say, Wrong } from "../parts/told";
import { queries } from "../queries";
import { useSession } from "../session";

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
  const query = { ...theirs(whose, mine, who.roles), text, status: [status] as Task["status"][] as never, sort: "due" as const, limit: 100 };
  const found = useInfiniteQuery({
    queryKey: ["list", "tasks", query],
    queryFn: ({ pageParam }) => ask(api.GET("/api/v1/tasks", { params: { query: { ...query, cursor: pageParam } } })),
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
          data={[{ value: "open", label: "Open" }, { value: "completed", label: "Done" }]} value={status} aria-label="Which"
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

function Due({ task: t }: { task: Task }) {
  if (t.status !== "open") return <StatusBadge status={t.status} />;
  if (!t.due_at) return null;
  return <Badge color={t.overdue ? "red" : "gray"} variant="light" tt="none" style={{ flexShrink: 0 }}>{t.overdue ? "overdue " : "due "}<When at={t.due_at} /></Badge>;
}

function useForm(task: Task): Schema | null | undefined {
  const found = useDefinition(task.definition, task.version, task.form !== "");
  if (!task.form) return null;
  const forms = (found.data?.outline as { forms?: Record<string, Schema> } | undefined)?.forms;
  return forms ? (forms[task.form] ?? null) : undefined;
}

export function Desk({ task: t }: { task: Task }) {
  const { may, who } = useSession();
  const form = useForm(t);
  const [values, setValues] = useState<Values | null>(null);
  const [to, setTo] = useState("");
  const [comment, setComment] = useState("");
  const params = { params: { path: { task_id: t.id } } };
  const given = values ?? (form ? initial(form) : {});
  const approval = form && "approved" in (resolved(form).properties ?? {});

  const act = useMutation({
    mutationFn: async (what: { verb: "claim" | "release" | "complete" | "reassign" | "comment"; body?: object; says: string }) => {
      await ask(api.POST(`/api/v1/tasks/{task_id}/${what.verb}` as "/api/v1/tasks/{task_id}/claim", { ...params, headers: { Prefer: "wait=5" }, body: (what.body ?? {}) as never }));
      return what.says;
    },
    onSuccess: (says) => say(says),
    onError: complain,
    onSettled: () => void queries.invalidateQueries({ queryKey: ["list"] }),
  });
  const complete = (payload: Values | null, says: string) => act.mutate({ verb: "complete", body: form ? { payload } : {}, says });
  const wrong = act.error instanceof Problem ? misfits(act.error, form) : {};

  return (
    <Paper withBorder p="md" flex="1 1 380px" miw={0} component="section" aria-label={t.title}>
      <Stack>
        <Group justify="space-between"><Text fw={700} size="lg">{t.title}</Text><Due task={t} /></Group>
        <Text size="sm">
          Of <Link to="/instances/$id" params={{ id: t.instance_id }}>{t.definition}</Link>, since <When at={t.opened_at} />.{" "}
          {t.claimed_by ? `${t.claimed_by} has taken it.` : t.assignee ? `It is for ${t.assignee}.` : t.role ? `Whoever has the role ${t.role} may do it.` : "Anybody may do it."}
          {t.excluded.length > 0 && ` Not ${t.excluded.join(", ")}.`}
        </Text>
        {t.status !== "open" && <Text size="sm">{t.status === "completed" ? `Done by ${t.closed_by || "somebody"}` : "Withdrawn"} <When at={t.closed_at} />.</Text>}
        {t.status === "open" && (
          <>
            <Group>
              {may("claim_task") && !t.claimed_by && <Button variant="default" disabled={!who.actor} title={who.actor ? undefined : "Say who you are first: in the menu at the top"} onClick={() => act.mutate({ verb: "claim", says: "It is yours" })}>Take it</Button>}
              {may("release_task") && t.claimed_by === who.actor && t.claimed_by && <Button variant="default" onClick={() => act.mutate({ verb: "release", says: "It is free again" })}>Give it back</Button>}
            </Group>
            {may("complete_task") && form !== undefined && (
              <form onSubmit={(e) => { e.preventDefault(); if (!approval) complete(given, "Done"); }}>
                <Stack>
                  {form && !approval && <SchemaForm schema={form} values={given} change={setValues} wrong={wrong} />}
                  {approval && <Textarea label="Comment" value={String(given.comment ?? "")} onChange={(e) => setValues({ ...given, comment: e.currentTarget.value })} autosize minRows={2} />}
                  {approval ? (
                    <Group>
                      <Button color="green" loading={act.isPending} onClick={() => complete({ ...given, approved: true }, "Approved")}>Approve</Button>
                      <Button color="red" variant="light" loading={act.isPending} onClick={() => complete({ ...given, approved: false }, "Rejected")}>Reject</Button>
                    </Group>
                  ) : <Group><Button type="submit" loading={act.isPending}>Complete</Button></Group>}
                </Stack>
              </form>
            )}
            {may("reassign_task") && (
              <Group align="end">
                <TextInput label="Hand it on to" value={to} onChange={(e) => setTo(e.currentTarget.value)} />
                <Button variant="default" disabled={!to.trim()} onClick={() => act.mutate({ verb: "reassign", body: { to: to.trim() }, says: `It is ${to}'s` })}>Hand on</Button>
              </Group>
            )}
            {may("comment_task") && (
              <Group align="end">
                <TextInput label="Say something about it" value={comment} onChange={(e) => setComment(e.currentTarget.value)} flex={1} />
                <Button variant="default" disabled={!comment.trim()} onClick={() => { act.mutate({ verb: "comment", body: { text: comment.trim() }, says: "Said" }); setComment(""); }}>Comment</Button>
              </Group>
            )}
            {may("complete_task") && form !== undefined && (
              <details><Text component="summary" size="sm" c="dimmed">As a command, or with curl</Text><Same {...typed(t, form && given, approval === true)} /></details>
            )}
          </>
        )}
      </Stack>
    </Paper>
  );
}

/** What completes it, as it is typed. */
function typed(t: Task, given: Values | null, approval: boolean): { command: string; path: string; body: object } {
  const path = `/tasks/${t.id}/complete`;
  if (given === null) return { command: `stepkeel task complete ${t.id}`, path, body: {} };
  if (!approval) return { command: `stepkeel task complete ${t.id} ${quoted(JSON.stringify(given))}`, path, body: { payload: given } };
  const comment = typeof given.comment === "string" && given.comment ? ` ${quoted(given.comment)}` : "";
  return { command: `stepkeel task approve ${t.id}${comment}`, path, body: { payload: { ...given, approved: true } } };
}

/** By field, where the server names one. */
function misfits(problem: Problem, form: Schema | null | undefined): Record<string, string> {
  const fields = Object.keys(form ? (resolved(form).properties ?? {}) : {});
  const found: Record<string, string> = {};
  for (const name of fields) if (problem.message.includes(name)) found[name] = problem.message;
  return found;
}
