// Many at once: first how many, in a sentence that says what will happen; then it is done.
import { Alert, Button, Group, Menu, Modal, Radio, Stack, Text, Textarea } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { queries } from "../queries";
import { useSession } from "../session";
import { quoted, Same } from "./same";
import { say } from "./told";

type Verb = "pause" | "resume" | "cancel" | "redrive" | "archive";
type Filters = { [name: string]: string | string[] | undefined };

const VERBS: Record<Verb, { label: string; says: (n: string) => string; color?: string }> = {
  pause: { label: "Pause", says: (n) => `${n} will begin nothing more until they are resumed.` },
  resume: { label: "Resume", says: (n) => `${n} that are paused will go on.` },
  cancel: { label: "Cancel", says: (n) => `${n} will end as cancelled. That cannot be taken back.`, color: "red" },
  redrive: { label: "Redrive", says: (n) => `${n} that failed will go on from where they failed.` },
  archive: { label: "Archive", says: (n) => `${n} that have ended will leave the lists. They can still be read.` },
};
const MOST = 1_000;

/** What of an address the API takes as a filter of many. */
export function filterOf(filters: Filters): Schemas["Filter"] {
  const { attribute, fault, archived: _archived, sort: _sort, ...rest } = filters;
  const attributes = Object.fromEntries(String(attribute ?? "").split(" ").filter((a) => a.includes("=")).map((a) => {
    const [name, value] = [a.slice(0, a.indexOf("=")), a.slice(a.indexOf("=") + 1)];
    try {
      return [name, JSON.parse(value) as string];
    } catch {
      return [name, value];
    }
  }));
  return { ...rest, ...(attribute ? { attributes } : {}), ...(fault === undefined ? {} : { fault: fault === "true" }) } as Schemas["Filter"];
}

export function BulkActions({ filters }: { filters: Filters }) {
  const { may } = useSession();
  const [verb, setVerb] = useState<Verb | null>(null);
  const filter = filterOf(filters);
  const allowed = (Object.keys(VERBS) as Verb[]).filter((v) => may(`${v}_instances`));
  if (allowed.length === 0) return null;
  // What is archived only reads; without that word the same filter is of others.
  const hindered = filters.archived === "true" ? "Archived ones only read" : Object.keys(filter).length === 0 ? "Filter first: it is done to those that match" : "";
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" disabled={hindered !== ""} title={hindered || undefined}>With all of these…</Button>
        </Menu.Target>
        <Menu.Dropdown>
          {allowed.map((v) => <Menu.Item key={v} color={VERBS[v].color} onClick={() => setVerb(v)}>{VERBS[v].label}</Menu.Item>)}
        </Menu.Dropdown>
      </Menu>
      {verb && <BulkDialog verb={verb} filter={filter} close={() => setVerb(null)} />}
    </>
  );
}

interface DialogProps {
  verb: Verb;
  filter: Schemas["Filter"];
  close: () => void;
  like?: { code: string; fingerprint: string }; // of their failure
  state?: string; // where they failed, all of them
}

export function BulkDialog({ verb, filter, like, state, close }: DialogProps) {
  const [reason, setReason] = useState("");
  const [anew, setAnew] = useState(false);
  const said = { limit: MOST, ...(reason ? { reason } : {}), ...(verb === "redrive" ? { ...like, ...(anew ? { from_state: state } : {}) } : {}) };
  const send = (dry: boolean) =>
    ask(api.POST(`/api/v1/bulk/${verb}`, { body: { filter, dry_run: dry, ...said } as never })) as Promise<Schemas["Fates"]>;
  const count = useQuery({ queryKey: ["dry", verb, filter, like], queryFn: () => send(true), gcTime: 0, refetchInterval: false });
  const act = useMutation({
    mutationFn: () => send(false),
    onSuccess: (fates) => {
      const done = fates.items.filter((f) => f.outcome !== "refused").length;
      void queries.invalidateQueries();
      if (done) say(`${VERBS[verb].label}: ${done} done`);
      if (done === fates.items.length) close();
    },
  });
  const refused = act.data?.items.filter((f) => f.outcome === "refused") ?? [];
  const able = count.data?.items.filter((f) => f.outcome !== "refused").length ?? 0;
  const number = `${count.data?.more ? "The first " : ""}${able} instance${able === 1 ? "" : "s"}`;
  return (
    <Modal opened onClose={close} title={`${VERBS[verb].label} many`} centered>
      <Stack>
        {count.error && <Alert color="red" title={count.error.message} />}
        {count.data && <Text role="status">{able ? VERBS[verb].says(number) : "None of these is in a condition for it."}</Text>}
        <Textarea label="Reason" description="Kept in their history" value={reason} onChange={(e) => setReason(e.currentTarget.value)} autosize minRows={2} data-autofocus />
        {verb === "redrive" && state && <FromWhere state={state} anew={anew} setAnew={setAnew} />}
        {refused.length > 0 && (
          <Alert color="yellow" title={`${refused.length} refused`} role="alert">
            {refused.slice(0, 5).map((f) => <Text key={f.id} size="sm"><Link to="/instances/$id" params={{ id: f.id }}>{f.id.slice(0, 13)}…</Link>: {f.reason}</Text>)}
            {refused.length > 5 && <Text size="sm">and {refused.length - 5} more</Text>}
          </Alert>
        )}
        {act.error && <Alert color="red" title={act.error.message} role="alert" />}
        <Same command={typed(verb, filter, said)} path={`/bulk/${verb}`} body={{ filter, ...said }} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>Leave it</Button>
          <Button color={VERBS[verb].color} disabled={!able} loading={act.isPending} onClick={() => act.mutate()}>{`${VERBS[verb].label} ${able}`}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}

/** As it is typed: an option for each thing that is said. */
function typed(verb: Verb, filter: Schemas["Filter"], said: object): string {
  const { attributes, fault, ...rest } = filter;
  const options: [string, unknown][] = [
    ...Object.entries(rest), ...Object.entries(attributes ?? {}).map(([k, v]) => ["attribute", `${k}=${String(v)}`] as [string, unknown]),
    ...Object.entries(said),
  ];
  const words = options.flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).filter((v) => v !== undefined && v !== null).map((v) => `--${name.replaceAll("_", "-")} ${/^[\w.:=-]+$/.test(String(v)) ? String(v) : quoted(String(v))}`));
  return [`stepkeel ${verb}-all`, ...words, ...(fault === undefined || fault === null ? [] : [fault ? "--fault" : "--no-fault"])].join(" ");
}

/** Where a redrive begins: what was undone since cannot simply be gone on from. */
export function FromWhere({ state, anew, setAnew }: { state: string; anew: boolean; setAnew: (anew: boolean) => void }) {
  return (
    <Radio.Group label="Go on" value={anew ? "anew" : "there"} onChange={(v) => setAnew(v === "anew")}>
      <Stack gap={6} mt={6}>
        <Radio value="there" label="From where it failed" />
        <Radio value="anew" label={`From the beginning of ${state}`} />
      </Stack>
    </Radio.Group>
  );
}
