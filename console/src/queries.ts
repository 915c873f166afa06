// What is known of the server, and until when. What happens there tells what to ask anew; without that every half minute.
import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { Problem } from "./api/client";
import type { Happened } from "./api/feed";

/** A credential has ended while the page is open: who it is, is asked anew, and so they are asked to sign in. */
function ended(error: Error): void {
  if (error instanceof Problem && error.status === 401) void queries.invalidateQueries({ queryKey: ["who"] });
}

export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error, query) => { if (query.queryKey[0] !== "who") ended(error); } }),
  mutationCache: new MutationCache({ onError: ended }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchInterval: 30_000,
      placeholderData: <T>(before: T) => before, // data that are known are shown while they are asked anew
      retry: (count, error) => (error instanceof Problem && error.status >= 400 && error.status < 500 ? false : count < 5),
      retryDelay: (count) => Math.min(500 * 2 ** count, 8_000),
    },
  },
});

const KEPT = new Set(["who", "definition", "layout"]); // what does not move

/** A stream has begun: what moved before, while there was none, is found by asking anew. */
export function caughtUp(): void {
  void queries.invalidateQueries({ predicate: (query) => !KEPT.has(String(query.queryKey[0])) });
}

// Between two looks at the lists, however much happens; where a look takes long, so much the longer. Milliseconds.
const LISTS = { least: 1_000, most: 30_000, times: 10 };
let rest = LISTS.least;
let due: ReturnType<typeof setTimeout> | undefined;

/** An instance has moved: it is asked anew at once, lists and numbers once in a while. */
export function moved(happened: Happened): void {
  void queries.invalidateQueries({ queryKey: ["instance", happened.instance_id] });
  due ??= setTimeout(() => {
    const began = performance.now();
    void queries.invalidateQueries({ queryKey: ["list"] }).finally(() => {
      rest = Math.min(LISTS.most, Math.max(LISTS.least, LISTS.times * (performance.now() - began)));
      due = undefined;
    });
  }, rest);
}
