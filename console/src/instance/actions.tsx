// What may be done to it now, each with a reason, and as a command for those who would rather type it.
import { Alert, Button, Checkbox, Group, Menu, Modal, Select, Stack, Text, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { useDefinition } from "../api/definition";
import { FromWhere } from "../parts/bulk";
import { initial, type Schema, SchemaForm, type Values } from "../parts/schemaForm";
import { quoted, Same } from "../parts/same";
import { say } from "../parts/told";
import { queries } from "../queries";
import { useSession } from "../session";
import { type Verb, VERBS } from "./verbs";

/** `asked`: the name of the verb whose dialog is open from the beginning; `answered` once that is closed. */
export function Actions({ instance: i, asked, answered }: { instance: Instance; asked?: string; answered: () => void }) {
  const { may } = useSession();
  const able = VERBS.filter((v) => may(v.operation) && v.when(i));
  const [verb, setVerb] = useState<Verb | null>(able.find((v) => v.name === asked) ?? null);
  if (able.length === 0) return null;
  const [first, ...rest] = able;
  return (
    <Group gap="xs">
      <Button variant={first!.name === "redrive" || first!.name === "resume" ? "filled" : "default"} onClick={() => setVerb(first!)}>{first!.label}…</Button>
      {rest.length > 0 && (
        <Menu position="bottom-end">
          <Menu.Target><Button variant="default">More</Button></Menu.Target>
          <Menu.Dropdown>{rest.map((v) => <Menu.Item key={v.name} color={v.color} onClick={() => setVerb(v)}>{v.label}…</Menu.Item>)}</Menu.Dropdown>
        </Menu>
      )}
      {verb && <Dialog verb={verb} instance={i} close={() => { setVerb(null); answered(); }} />}
    </Group>
  );
}

type Said = Values & { reason?: string; compensate?: boolean; from_state?: string };

/** What is filled in, and what it asks for. */
function useSaid(verb: Verb, i: Instance) {
  const [reason, setReason] = useState("");
  const [compensate, setCompensate] = useState(false);
  const [anew, setAnew] = useState(false);
  const [signal, setSignal] = useState<string | null>(null);
  const [values, setValues] = useState<Values>({});
  const changesData = verb.name === "set-data" || verb.name === "fork";
  const outline = useOutline(i, changesData || verb.name === "signals" || verb.name === "set-state");
  const fields = verb.fields?.(i, (outline.states ?? []).map((s) => s.name));
  const before = (i.data ?? {}) as Values;
  const [data, setData] = useState<Values>(before);
  const changes = Object.fromEntries(Object.entries(data).filter(([k, v]) => JSON.stringify(v) !== JSON.stringify(before[k])));
  const changed = Object.keys(changes).length > 0;
  const ends = verb.name === "cancel" || verb.name === "terminate";
  const where = anew ? { from_state: i.state } : {};
  const body: Said =
    verb.name === "signals" ? { name: signal ?? "", payload: values }
    : verb.name === "set-data" ? { changes, reason }
    : { ...(fields ? values : {}), ...(verb.name === "fork" && changed ? { data: changes } : {}), reason, ...(ends ? { compensate } : {}), ...(verb.name === "redrive" ? where : {}) };
  const lacks = (verb.name === "signals" && !signal) || (verb.name === "set-data" && !changed) || !!fields?.required?.some((f) => !values[f]);
  return {
    reason, setReason, compensate, setCompensate, anew, setAnew, signal, setSignal, values, setValues, data, setData,
    schemas: outline.signals ?? {}, schema: changesData ? outline.data : undefined, fields, ends, body, again: { reason, ...where }, lacks,
  };
}

/** It is asked for; with `redrive`, it is redriven as soon as that is done. */
function useAct(verb: Verb, i: Instance, said: ReturnType<typeof useSaid>, close: () => void) {
  const router = useRouter();
  const send = (name: Verb["name"], body: Said) =>
    ask(api.POST(`/api/v1/instances/{instance_id}/${name}` as "/api/v1/instances/{instance_id}/pause", {
      params: { path: { instance_id: i.id } }, headers: { Prefer: "wait=5" }, body: body as never,
    }));
  return useMutation({
    mutationFn: async (then?: "redrive") => {
      const receipt = await send(verb.name, said.body);
      return then && receipt.status !== "rejected" ? send(then, said.again) : receipt;
    },
    onSuccess: (receipt, then) => {
      void queries.invalidateQueries({ queryKey: ["instance", i.id] });
      if (receipt.status === "rejected") return;
      if (verb.name === "fork") void router.navigate({ to: "/instances/$id", params: { id: (receipt as unknown as Instance).id } });
      say(`${then ? `${verb.label} and redrive` : verb.label}: ${receipt.status === "pending" ? "asked for, it will be done" : "done"}`);
      close();
    },
  });
}

function Dialog({ verb, instance: i, close }: { verb: Verb; instance: Instance; close: () => void }) {
  const { may } = useSession();
  const it = useSaid(verb, i);
  const act = useAct(verb, i, it, close);
  const mends = verb.name === "set-data" && i.status === "failed" && may("redrive_instance");
  const refused = act.data?.status === "rejected" ? act.data.reason : act.error?.message;
  return (
    <Modal opened onClose={close} title={`${verb.label}: ${i.key ?? i.definition}`} centered size="lg">
      <form onSubmit={(e) => { e.preventDefault(); act.mutate(undefined); }}>
        <Stack>
          <Text>{verb.says}</Text>
          {verb.name === "signals" ? <Signal it={it} /> : (
            <Textarea label="Reason" description="Kept in its history" value={it.reason} onChange={(e) => it.setReason(e.currentTarget.value)} autosize minRows={2} data-autofocus />
          )}
          {it.fields && <SchemaForm schema={it.fields} values={it.values} change={it.setValues} />}
          {it.schema && <SchemaForm schema={it.schema} values={it.data} change={it.setData} />}
          {(verb.name === "redrive" || mends) && <FromWhere state={i.state} anew={it.anew} setAnew={it.setAnew} />}
          {it.ends && <Checkbox label="Undo what it has done first" checked={it.compensate} onChange={(e) => it.setCompensate(e.currentTarget.checked)} />}
          {refused && <Alert color="red" title={refused} role="alert">{act.error && "remedy" in act.error ? String(act.error.remedy) : null}</Alert>}
          <Same command={typed(verb, i.id, it.body)} path={`/instances/${i.id}/${verb.name}`} body={it.body} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Leave it</Button>
            <Button type="submit" variant={mends ? "default" : "filled"} color={verb.color} loading={act.isPending} disabled={it.lacks}>{verb.label}</Button>
            {mends && <Button loading={act.isPending} disabled={it.lacks} onClick={() => act.mutate("redrive")}>Set data and redrive</Button>}
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Signal({ it }: { it: ReturnType<typeof useSaid> }) {
  const schema = it.signal ? it.schemas[it.signal] : undefined;
  return (
    <>
      <Select
        label="Signal" required data={Object.keys(it.schemas)} value={it.signal} data-autofocus searchable
        onChange={(v) => { it.setSignal(v); it.setValues(v && it.schemas[v] ? initial(it.schemas[v]) : {}); }}
      />
      {schema && <SchemaForm schema={schema} values={it.values} change={it.setValues} />}
    </>
  );
}

function useOutline(i: Instance, wanted: boolean): { signals?: Record<string, Schema>; data?: Schema; states?: { name: string }[] } {
  return useDefinition(i.definition, i.version, wanted).data?.outline ?? {};
}

/** As it is typed. */
function typed(verb: Verb, id: string, said: Said): string {
  const reason = said.reason ? ` --reason ${quoted(said.reason)}` : "";
  if (verb.name === "signals") return `stepkeel signal ${id} ${String(said.name || "NAME")} ${quoted(JSON.stringify(said.payload ?? {}))}`;
  const changes = said.changes ?? said.data;
  const flags = `${said.compensate ? " --compensate" : ""}${said.from_state && verb.name === "redrive" ? ` --from ${said.from_state}` : ""}`;
  return `stepkeel ${verb.name} ${id}${changes ? ` ${quoted(JSON.stringify(changes))}` : ""}${verb.typed?.(said) ?? ""}${flags}${reason}`;
}
