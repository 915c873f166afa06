// Who is signed in, and what they may: what a role may not do is not offered, and the server refuses it anyway.
import { Alert, Center, Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { api, ask, Problem, type Schemas } from "./api/client";
import { credentials, forgetCredentials, keepCredentials } from "./api/credentials";
import { type FeedState, follow } from "./api/feed";
import { SignIn } from "./signin/page";
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

/** `wrong`: why signing in at a provider's page has not led here. */
export function SessionGate({ wrong, children }: { wrong: string; children: ReactNode }) {
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
    return <SignIn wrong={credentials().key ? who.error.message : wrong} />;
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
