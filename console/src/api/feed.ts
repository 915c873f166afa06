// What happens in the tenant, as it happens. EventSource sends no headers, so the stream is read here; its protocol is the
// same: who comes back says which event was the last (WHATWG HTML, server-sent events).
import { headers } from "./client";
import { fresh } from "./signin";

export interface Happened {
  instance_id: string;
  entry: { revision: number; events: { type: string }[] };
}

export type FeedState = "live" | "away";

const SILENCE = 45_000; // milliseconds: the server says something every 15 s, so that a line that is dead is known to be

/** Reads until it is stopped. `state` is told each time that a stream has begun: what was before that has to be asked for.
 * A lost connection is made again, later and later, at most every ten seconds.
 */
export function follow(told: (happened: Happened) => void, state: (now: FeedState) => void): () => void {
  const stop = new AbortController();
  let last = "";
  let pause = 500;

  async function once(): Promise<void> {
    const cut = new AbortController();
    const abort = () => cut.abort();
    stop.signal.addEventListener("abort", abort, { once: true });
    addEventListener("offline", abort, { once: true });
    let watch = setTimeout(abort, SILENCE);
    try {
      await read(cut.signal, () => {
        clearTimeout(watch);
        watch = setTimeout(abort, SILENCE);
      });
    } finally {
      clearTimeout(watch);
      stop.signal.removeEventListener("abort", abort);
      removeEventListener("offline", abort);
    }
  }

  async function read(signal: AbortSignal, heard: () => void): Promise<void> {
    await fresh();
    const answer = await fetch("/api/v1/events", {
      headers: { ...headers(), Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) },
      signal,
      cache: "no-store",
    });
    if (!answer.ok || !answer.body) throw new Error(String(answer.status));
    let begun = false;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let kept = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      if (!begun) state("live"); // from here on nothing is missed: the server says at once where the stream begins
      begun = true;
      pause = 500;
      kept += value.replaceAll("\r", "");
      for (let end = kept.indexOf("\n\n"); end >= 0; end = kept.indexOf("\n\n")) {
        const data: string[] = [];
        for (const line of kept.slice(0, end).split("\n")) {
          if (line.startsWith("id:")) last = line.slice(3).trim();
          else if (line.startsWith("data:")) data.push(line.slice(5).trim());
        }
        kept = kept.slice(end + 2);
        if (data.length) told(JSON.parse(data.join("\n")) as Happened);
      }
    }
  }

  async function always(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        await once();
      } catch {
        if (stop.signal.aborted) return;
        state("away");
      }
      await new Promise<void>((resume) => {
        const again = () => {
          clearTimeout(timer);
          removeEventListener("online", again);
          resume();
        };
        const timer = setTimeout(again, pause);
        addEventListener("online", again);
      });
      pause = Math.min(pause * 2, 10_000);
    }
  }

  void always();
  return () => stop.abort();
}
