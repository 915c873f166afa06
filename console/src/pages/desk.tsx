// One task: what it asks for, and what may be done about it.
import { Badge, Button, Group, Paper, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useDefinition } from "../api/definition";
import { api, ask, Problem, type Task } from "../api/client";
import { quoted, Same } from "../parts/same";
import { initial, resolved, type Schema, SchemaForm, type Values } from "../parts/schemaForm";
import { StatusBadge } from "../parts/status";
import { When } from "../parts/time";
import { complain, say } from "../parts/told";
import { queries } from "../queries";
import { useSession } from "../session";

export function Due({ task: t }: { task: Task }) {
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

interface Deed {
  verb: "claim" | "release" | "complete" | "reassign" | "comment";
  body?: object;
  says: string;
}

function useAct(t: Task) {
  return useMutation({
    mutationFn: async (what: Deed) => {
      const asked = { params: { path: { task_id: t.id } }, headers: { Prefer: "wait=5" }, body: (what.body ?? {}) as never };
      await ask(api.POST(`/api/v1/tasks/{task_id}/${what.verb}` as "/api/v1/tasks/{task_id}/claim", asked));
      return what.says;
    },
    onSuccess: (says) => say(says),
    onError: complain,
    onSettled: () => void queries.invalidateQueries({ queryKey: ["list"] }),
  });
}

export function Desk({ task: t }: { task: Task }) {
  const { may, who } = useSession();
  const act = useAct(t);
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
            {may("complete_task") && <Completes task={t} act={act} />}
            {may("reassign_task") && <Line label="Hand it on to" verb="Hand on" done={(to) => act.mutate({ verb: "reassign", body: { to }, says: `It is ${to}'s` })} />}
            {may("comment_task") && <Line label="Say something about it" verb="Comment" done={(text) => act.mutate({ verb: "comment", body: { text }, says: "Said" })} />}
          </>
        )}
      </Stack>
    </Paper>
  );
}

/** Its form; of an approval, the two answers. */
function Completes({ task: t, act }: { task: Task; act: ReturnType<typeof useAct> }) {
  const form = useForm(t);
  const [values, setValues] = useState<Values | null>(null);
  if (form === undefined) return null;
  const given = values ?? (form ? initial(form) : {});
  const approval = form !== null && "approved" in (resolved(form).properties ?? {});
  const wrong = act.error instanceof Problem ? misfits(act.error, form) : {};
  const complete = (payload: Values, says: string) => act.mutate({ verb: "complete", body: form ? { payload } : {}, says });
  return (
    <>
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
      <details><Text component="summary" size="sm" c="dimmed">As a command, or with curl</Text><Same {...typed(t, form && given, approval)} /></details>
    </>
  );
}

/** One line, and what is done with it. */
function Line({ label, verb, done }: { label: string; verb: string; done: (text: string) => void }) {
  const [text, setText] = useState("");
  return (
    <form onSubmit={(e) => { e.preventDefault(); done(text.trim()); setText(""); }}>
      <Group align="end">
        <TextInput label={label} value={text} onChange={(e) => setText(e.currentTarget.value)} flex={1} />
        <Button type="submit" variant="default" disabled={!text.trim()}>{verb}</Button>
      </Group>
    </form>
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
