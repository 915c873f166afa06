// Who is signed in, and what they may: what a role may not do is not offered, and the server refuses it anyway.
import { Alert, Button, Center, Loader, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { createContext, type FormEvent, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { api, ask, Problem, type Schemas } from "./api/client";
import { credentials, forgetCredentials, keepCredentials } from "./api/credentials";
import { type FeedState, follow } from "./api/feed";
import { caughtUp, moved } from "./queries";

type Whoami = Schemas["Whoami"];

interface Session {
  who: Whoami;
  feed: FeedState;
  may: (operation: string) => boolean;
  signOut: () => void;
  change: (changes: { tenant?: string; actor?: string }) => void;
}

const Known = createContext<Session | null>(null);

export function useSession(): Session {
  const found = useContext(Known);
  if (found === null) throw new Error("nobody is signed in");
  return found;
}

export function SessionGate({ children }: { children: ReactNode }) {
  const who = useQuery({ queryKey: ["who"], queryFn: () => ask(api.GET("/api/v1/identity")), staleTime: 60_000 });
  const [feed, setFeed] = useState<FeedState>("live");
  const known = who.data;
  const listens = known !== undefined && known.operations.includes("stream_events");

  const told = (now: FeedState) => {
    setFeed(now);
    if (now === "live") caughtUp();
  };
  useEffect(() => (listens ? follow(moved, told) : undefined), [listens, known?.tenant, known?.actor]);

  const session = useMemo<Session | null>(() => {
    if (known === undefined) return null;
    const allowed = new Set(known.operations);
    return {
      who: known,
      feed,
      may: (operation) => allowed.has(operation),
      signOut: () => {
        forgetCredentials();
        location.reload(); // nothing that somebody has seen is left for who comes next
      },
      change: (changes) => {
        keepCredentials(changes);
        location.reload();
      },
    };
  }, [known, feed]);

  if (who.error instanceof Problem && (who.error.status === 401 || (who.error.status === 403 && known === undefined))) {
    return <SignIn problem={credentials().key ? who.error : null} />;
  }
  if (session === null) {
    return (
      <Center mih="100vh">
        {who.error ? <Alert color="red" title="The server does not answer">{who.error.message}</Alert> : <Loader aria-label="Loading" />}
      </Center>
    );
  }
  return <Known.Provider value={session}>{children}</Known.Provider>;
}

function SignIn({ problem }: { problem: Problem | null }) {
  const [key, setKey] = useState("");
  const [tenant, setTenant] = useState(credentials().tenant);

  function signIn(event: FormEvent) {
    event.preventDefault();
    keepCredentials({ key: key.trim(), tenant: tenant.trim() });
    location.reload();
  }

  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder shadow="sm" p="xl" w={420} maw="100%">
        <form onSubmit={signIn}>
          <Stack>
            <Title order={1} size="h2">Sign in to Stepkeel</Title>
            <Text c="dimmed" size="sm">
              With an API key, or a token of your identity provider. Whoever runs the server makes a key with{" "}
              <Text span ff="monospace" size="sm">stepkeel key create NAME --role operator</Text>.
            </Text>
            {problem && <Alert color="red" title="Not let in" role="alert">{problem.message}</Alert>}
            <PasswordInput label="API key or token" value={key} onChange={(e) => setKey(e.currentTarget.value)} required autoComplete="off" data-autofocus />
            <TextInput label="Tenant" description="Only for keys that reach several" value={tenant} onChange={(e) => setTenant(e.currentTarget.value)} />
            <Button type="submit">Sign in</Button>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
