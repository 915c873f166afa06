// Who one is: at the page of an identity provider, or by an API key or a token.
import { Alert, Button, Center, Divider, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { credentials, forgetCredentials, keepCredentials } from "../api/credentials";
import { goTo } from "../api/signin";

export function SignIn({ wrong }: { wrong: string }) {
  const [key, setKey] = useState("");
  const [tenant, setTenant] = useState(credentials().tenant);
  const ways = useQuery({ queryKey: ["sign-in"], queryFn: () => ask(api.GET("/api/v1/sign-in")), refetchInterval: 10_000 });
  const providers = ways.data?.providers ?? [];
  const goes = useMutation({ mutationFn: goTo });

  function signIn(event: FormEvent) {
    event.preventDefault();
    forgetCredentials();
    keepCredentials({ key: key.trim(), tenant: tenant.trim() });
    location.reload();
  }

  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder shadow="sm" p="xl" w={420} maw="100%">
        <Stack>
          <Title order={1} size="h2">Sign in to Stepkeel</Title>
          {(wrong || goes.error) && <Alert color="red" title="Not let in" role="alert">{goes.error?.message ?? wrong}</Alert>}
          {providers.map((p) => <At key={p.issuer} provider={p} goes={() => goes.mutate(p)} going={goes.isPending} />)}
          {providers.length > 0 && <Divider label="or" />}
          <form onSubmit={signIn}>
            <Stack>
              <Text c="dimmed" size="sm">
                With {ways.data?.keys === false ? "a token of your identity provider." : "an API key, or a token of your identity provider. Whoever runs the server makes a key with "}
                {ways.data?.keys !== false && <Text span ff="monospace" size="sm">stepkeel key create NAME --role operator</Text>}
              </Text>
              <PasswordInput label="API key or token" value={key} onChange={(e) => setKey(e.currentTarget.value)} required autoComplete="off" data-autofocus={providers.length === 0 || undefined} />
              <TextInput label="Tenant" description="Only for keys that reach several" value={tenant} onChange={(e) => setTenant(e.currentTarget.value)} />
              <Button type="submit" variant={providers.length ? "default" : "filled"}>Sign in</Button>
            </Stack>
          </form>
        </Stack>
      </Paper>
    </Center>
  );
}

function At({ provider, goes, going }: { provider: Schemas["Provider"]; goes: () => void; going: boolean }) {
  return (
    <>
      <Button onClick={goes} loading={going} disabled={!provider.authorize}>Sign in with {provider.title}</Button>
      {!provider.authorize && <Text size="sm" c="dimmed">{provider.title} does not answer the server just now. It is asked again by itself.</Text>}
    </>
  );
}
