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

function Dialog({ verb, instance: i, close }: { verb: Verb; instance: Instance; close: () => void }) {
  const { may } = useSession();
  const router = useRouter();
  const [reason, setReason] = useState("");
  const [compensate, setCompensate] = useState(false);
  const [anew, setAnew] = useState(false);
  const [signal, setSignal] = useState<string | null>(null);
  const [values, setValues] = useState<Values>({});
  const changesData = verb.name === "set-data" || verb.name === "fork";
  const outline = useOutline(i, changesData || verb.name === "signals" || verb.name === "set-state");
  const fields = verb.fields?.(i, (outline.states ?? []).map((s) => s.name));
  const schemas = outline.signals ?? {};
  const before = (i.data ?? {}) as Values;
  const [data, setData] = useState<Values>(before);
  const changes = Object.fromEntries(Object.entries(data).filter(([k, v]) => JSON.stringify(v) !== JSON.stringify(before[k])));
  const changed = Object.keys(changes).length > 0;
  const ends = verb.name === "cancel" || verb.name === "terminate";
  const mends = verb.name === "set-data" && i.status === "failed" && may("redrive_instance");
  const where = anew ? { from_state: i.state } : {};
  const body: Said =
    verb.name === "signals" ? { name: signal ?? "", payload: values }
    : verb.name === "set-data" ? { changes, reason }
    : { ...(fields ? values : {}), ...(verb.name === "fork" && changed ? { data: changes } : {}), reason, ...(ends ? { compensate } : {}), ...(verb.name === "redrive" ? where : {}) };
  const send = (name: Verb["name"], said: Said) =>
    ask(api.POST(`/api/v1/instances/{instance_id}/${name}` as "/api/v1/instances/{instance_id}/pause", {
      params: { path: { instance_id: i.id } }, headers: { Prefer: "wait=5" }, body: said as never,
    }));

  const act = useMutation({
    mutationFn: async (then?: "redrive") => {
      const receipt = await send(verb.name, body);
      return then && receipt.status !== "rejected" ? send(then, { reason, ...where }) : receipt;
    },
    onSuccess: (receipt, then) => {
      void queries.invalidateQueries({ queryKey: ["instance", i.id] });
      if (receipt.status === "rejected") return;
      if (verb.name === "fork") void router.navigate({ to: "/instances/$id", params: { id: (receipt as unknown as Instance).id } });
      say(`${then ? `${verb.label} and redrive` : verb.label}: ${receipt.status === "pending" ? "asked for, it will be done" : "done"}`);
      close();
    },
  });
  const refused = act.data?.status === "rejected" ? act.data.reason : act.error?.message;
  const lacks = (verb.name === "signals" && !signal) || (verb.name === "set-data" && !changed) || !!fields?.required?.some((f) => !values[f]);

  return (
    <Modal opened onClose={close} title={`${verb.label}: ${i.key ?? i.definition}`} centered size="lg">
      <form onSubmit={(e) => { e.preventDefault(); act.mutate(undefined); }}>
        <Stack>
          <Text>{verb.says}</Text>
          {verb.name === "signals" ? (
            <>
              <Select
                label="Signal" required data={Object.keys(schemas)} value={signal} data-autofocus searchable
                onChange={(v) => { setSignal(v); setValues(v && schemas[v] ? initial(schemas[v]) : {}); }}
              />
              {signal && schemas[signal] && <SchemaForm schema={schemas[signal]} values={values} change={setValues} />}
            </>
          ) : (
            <Textarea label="Reason" description="Kept in its history" value={reason} onChange={(e) => setReason(e.currentTarget.value)} autosize minRows={2} data-autofocus />
          )}
          {fields && <SchemaForm schema={fields} values={values} change={setValues} />}
          {changesData && outline.data && <SchemaForm schema={outline.data} values={data} change={setData} />}
          {(verb.name === "redrive" || mends) && <FromWhere state={i.state} anew={anew} setAnew={setAnew} />}
          {ends && <Checkbox label="Undo what it has done first" checked={compensate} onChange={(e) => setCompensate(e.currentTarget.checked)} />}
          {refused && <Alert color="red" title={refused} role="alert">{act.error && "remedy" in act.error ? String(act.error.remedy) : null}</Alert>}
          <Same command={typed(verb, i.id, body)} path={`/instances/${i.id}/${verb.name}`} body={body} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Leave it</Button>
            <Button type="submit" variant={mends ? "default" : "filled"} color={verb.color} loading={act.isPending} disabled={lacks}>{verb.label}</Button>
            {mends && <Button loading={act.isPending} disabled={lacks} onClick={() => act.mutate("redrive")}>Set data and redrive</Button>}
          </Group>
        </Stack>
      </form>
    </Modal>
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
