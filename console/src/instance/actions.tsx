// What may be done to it now, each with a reason, and as a command for those who would rather type it.
import { Alert, Button, Checkbox, Code, Group, Menu, Modal, Select, Stack, Tabs, Text, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { useDefinition } from "../api/definition";
import { FromWhere } from "../parts/bulk";
import { initial, type Schema, SchemaForm, type Values } from "../parts/schemaForm";
import { say } from "../parts/told";
import { queries } from "../queries";
import { useSession } from "../session";
import { type Verb, VERBS } from "./verbs";

export function Actions({ instance: i }: { instance: Instance }) {
  const { may } = useSession();
  const [verb, setVerb] = useState<Verb | null>(null);
  const able = VERBS.filter((v) => may(v.operation) && v.when(i));
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
      {verb && <Dialog verb={verb} instance={i} close={() => setVerb(null)} />}
    </Group>
  );
}

interface Body extends Values {
  name?: string;
  payload?: Values;
  reason?: string;
  compensate?: boolean;
  from_state?: string;
  changes?: Values;
}

function Dialog({ verb, instance: i, close }: { verb: Verb; instance: Instance; close: () => void }) {
  const [reason, setReason] = useState("");
  const [compensate, setCompensate] = useState(false);
  const [anew, setAnew] = useState(false);
  const [signal, setSignal] = useState<string | null>(null);
  const [values, setValues] = useState<Values>({});
  const outline = useOutline(i, ["signals", "set-data", "set-state"].includes(verb.name));
  const fields = verb.fields?.(i, (outline.states ?? []).map((s) => s.name));
  const schemas = outline.signals ?? {};
  const before = (i.data ?? {}) as Values;
  const [data, setData] = useState<Values>(before);
  const changes = Object.fromEntries(Object.entries(data).filter(([k, v]) => JSON.stringify(v) !== JSON.stringify(before[k])));
  const ends = verb.name === "cancel" || verb.name === "terminate";
  const body: Body = verb.name === "signals" ? { name: signal ?? "", payload: values } : verb.name === "set-data" ? { changes, reason } : { ...(fields ? values : {}), reason, ...(ends ? { compensate } : {}), ...(anew ? { from_state: i.state } : {}) };

  const act = useMutation({
    mutationFn: () =>
      ask(api.POST(`/api/v1/instances/{instance_id}/${verb.name}` as "/api/v1/instances/{instance_id}/pause", {
        params: { path: { instance_id: i.id } }, headers: { Prefer: "wait=5" }, body: body as never,
      })),
    onSuccess: (receipt) => {
      if (receipt.status === "rejected") return;
      say(`${verb.label}: ${receipt.status === "pending" ? "asked for, it will be done" : "done"}`);
      void queries.invalidateQueries({ queryKey: ["instance", i.id] });
      close();
    },
  });
  const refused = act.data?.status === "rejected" ? act.data.reason : act.error?.message;

  return (
    <Modal opened onClose={close} title={`${verb.label}: ${i.key ?? i.definition}`} centered size="lg">
      <form onSubmit={(e) => { e.preventDefault(); act.mutate(); }}>
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
          {verb.name === "set-data" && outline.data && <SchemaForm schema={outline.data} values={data} change={setData} />}
          {fields && <SchemaForm schema={fields} values={values} change={setValues} />}
          {verb.name === "redrive" && <FromWhere state={i.state} anew={anew} setAnew={setAnew} />}
          {ends && <Checkbox label="Undo what it has done first" checked={compensate} onChange={(e) => setCompensate(e.currentTarget.checked)} />}
          {refused && <Alert color="red" title={refused} role="alert">{act.error && "remedy" in act.error ? String(act.error.remedy) : null}</Alert>}
          <Same verb={verb} id={i.id} body={body} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Leave it</Button>
            <Button type="submit" color={verb.color} loading={act.isPending} disabled={(verb.name === "signals" && !signal) || (verb.name === "set-data" && Object.keys(changes).length === 0) || !!fields?.required?.some((f) => !values[f])}>{verb.label}</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function useOutline(i: Instance, wanted: boolean): { signals?: Record<string, Schema>; data?: Schema; states?: { name: string }[] } {
  return useDefinition(i.definition, i.version, wanted).data?.outline ?? {};
}

/** The same by hand. */
function Same({ verb, id, body: said }: { verb: Verb; id: string; body: Body }) {
  const text = JSON.stringify(said).replaceAll("'", "'\\''");
  const reason = said.reason ? ` --reason ${JSON.stringify(said.reason)}` : "";
  const command = verb.name === "signals"
    ? `stepkeel signal ${id} ${said.name || "NAME"} '${JSON.stringify(said.payload ?? {})}'`
    : `stepkeel ${verb.name} ${id}${verb.typed?.(said as Values) ?? ""}${said.changes ? ` '${JSON.stringify(said.changes)}'` : ""}${said.compensate ? " --compensate" : ""}${said.from_state ? ` --from ${said.from_state}` : ""}${reason}`;
  return (
    <Tabs defaultValue="cli" variant="outline">
      <Tabs.List><Tabs.Tab value="cli">Command</Tabs.Tab><Tabs.Tab value="curl">curl</Tabs.Tab></Tabs.List>
      <Tabs.Panel value="cli"><Code block tabIndex={0}>{command}</Code></Tabs.Panel>
      <Tabs.Panel value="curl">
        <Code block tabIndex={0}>{`curl ${location.origin}/api/v1/instances/${id}/${verb.name} \\\n  -H "Authorization: Bearer $STEPKEEL_KEY" -H 'Content-Type: application/json' \\\n  -d '${text}'`}</Code>
      </Tabs.Panel>
    </Tabs>
  );
}
