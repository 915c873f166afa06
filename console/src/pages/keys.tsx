// API keys: who may call, with which roles, until when. A key is shown once.
import { Alert, Badge, Button, Checkbox, Code, CopyButton, Group, Modal, MultiSelect, Stack, Table, TagsInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useRoles } from "./roles";
import { api, ask, type Schemas } from "../api/client";
import { Rows } from "../instance/lists";
import { When } from "../parts/time";
import { complain, Empty, say, Shown } from "../parts/told";
import { queries } from "../queries";
import { useSession } from "../session";

export function Keys() {
  const { may, who } = useSession();
  const [makes, setMakes] = useState(false);
  const [shown, setShown] = useState<Schemas["MadeKey"] | null>(null);
  const found = useQuery({ queryKey: ["list", "keys"], queryFn: () => ask(api.GET("/api/v1/keys")) });
  const again = () => void queries.invalidateQueries({ queryKey: ["list", "keys"] });
  const revoke = useMutation({
    mutationFn: (id: string) => ask(api.POST("/api/v1/keys/{key_id}/revoke", { params: { path: { key_id: id } }, body: { reason: "" } })),
    onSuccess: () => { say("It is refused from now on"); again(); },
    onError: complain,
  });
  return (
    <Stack>
      <Group justify="space-between">
        <Text size="sm" c="dimmed">Of tenant {who.tenant}. You are {who.name || "nobody"} with {who.roles.join(", ") || "no roles"}.</Text>
        {may("create_key") && <Button size="xs" onClick={() => setMakes(true)}>Make a key…</Button>}
      </Group>
      <Shown of={found}>
        {({ items }) => items.length === 0 ? <Empty title="There are no keys">With stepkeel serve --access keys whoever calls needs one.</Empty> : (
          <Rows head={["Name", "Roles", "Made", "Last used", "Ends", ""]}>
            {items.map((k) => (
              <Table.Tr key={k.id}>
                <Table.Td>{k.name} {k.tenant === "*" && <Badge variant="light" tt="none">any tenant</Badge>}<Text size="xs" c="dimmed" className="mono">{k.id}</Text></Table.Td>
                <Table.Td>{k.roles.join(", ")}{k.scopes.length > 0 && <Text size="xs" c="dimmed">only {k.scopes.join(", ")}</Text>}</Table.Td>
                <Table.Td><When at={k.made_at} />{k.made_by && ` by ${k.made_by}`}</Table.Td><Table.Td><When at={k.used_at} none="never" /></Table.Td>
                <Table.Td>{k.ended ? <Badge color="gray" variant="light" tt="none">ended</Badge> : <When at={k.ends_at} none="never" />}</Table.Td>
                <Table.Td>{!k.ended && may("revoke_key") && <Button size="xs" color="red" variant="light" onClick={() => revoke.mutate(k.id)} aria-label={`Revoke ${k.name}`}>Revoke</Button>}</Table.Td>
              </Table.Tr>
            ))}
          </Rows>
        )}
      </Shown>
      {makes && <Make close={() => setMakes(false)} made={(k) => { setMakes(false); setShown(k); again(); }} />}
      {shown && (
        <Modal opened onClose={() => setShown(null)} title={`The key ${shown.key.name}`} centered size="lg" closeOnClickOutside={false}>
          <Stack>
            <Text>It is shown now and never again.</Text>
            <Code block tabIndex={0}>{shown.secret}</Code>
            <CopyButton value={shown.secret}>{({ copied, copy }) => <Button onClick={copy}>{copied ? "Copied" : "Copy"}</Button>}</CopyButton>
          </Stack>
        </Modal>
      )}
    </Stack>
  );
}

function Make({ close, made }: { close: () => void; made: (key: Schemas["MadeKey"]) => void }) {
  const [name, setName] = useState("");
  const [roles, setRoles] = useState<string[]>(["operator"]);
  const [scopes, setScopes] = useState<string[]>([]);
  const [endsIn, setEndsIn] = useState("90d");
  const [everywhere, setEverywhere] = useState(false);
  const { who } = useSession();
  const known = useRoles().data?.items.map((r) => r.name) ?? [];
  const make = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/keys", { body: { name, roles, scopes, ends_in: endsIn || null, any_tenant: everywhere } })),
    onSuccess: made,
  });
  return (
    <Modal opened onClose={close} title="Make a key" centered>
      <form onSubmit={(e) => { e.preventDefault(); make.mutate(); }}>
        <Stack>
          <TextInput label="Name" description="Who it is for" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
          <MultiSelect label="Roles" data={known} value={roles} onChange={setRoles} required />
          <TagsInput label="Only these operations" description="As patterns: get_*. None: all that its roles permit" value={scopes} onChange={setScopes} />
          <TextInput label="Valid for" description="90d, 12h; empty: until it is revoked" value={endsIn} onChange={(e) => setEndsIn(e.currentTarget.value)} />
          {(who.tenants.includes("*") || who.how === "development") && (
            <Checkbox label="For any tenant" description="Who has it says which by X-Tenant" checked={everywhere} onChange={(e) => setEverywhere(e.currentTarget.checked)} />
          )}
          {make.error && <Alert color="red" title={make.error.message} role="alert" />}
          <Group justify="flex-end"><Button variant="default" onClick={close}>Leave it</Button><Button type="submit" loading={make.isPending} disabled={!roles.length}>Make it</Button></Group>
        </Stack>
      </form>
    </Modal>
  );
}
