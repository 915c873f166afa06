// Times: how long ago, or until, with the exact one at hand.
import { useSyncExternalStore } from "react";

const STEPS: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

/** `90` seconds as "2 min": one unit is enough to judge by. */
export function span(seconds: number): string {
  const size = Math.abs(seconds);
  if (size < 1) return size < 0.001 ? "0 ms" : `${Math.round(size * 1_000)} ms`;
  const [unit, name] = STEPS.find(([each]) => size >= each) ?? [1, "s"];
  return `${size / unit < 10 && unit > 1 ? Math.round((size / unit) * 10) / 10 : Math.round(size / unit)} ${name}`;
}

// One clock for the page, however many times stand on it.
let ticked = Date.now();
const waiting = new Set<() => void>();
setInterval(() => {
  ticked = Date.now();
  for (const each of waiting) each();
}, 1_000);

function listen(each: () => void): () => void {
  waiting.add(each);
  return () => waiting.delete(each);
}

/** The time, in milliseconds, as often as so many of them have gone by. */
export function useNow(every = 10_000): number {
  return useSyncExternalStore(listen, () => ticked - (ticked % every));
}

export function When({ at, none = "–" }: { at: string | null | undefined; none?: string }) {
  const now = useNow();
  if (!at) return <>{none}</>;
  const away = (Date.parse(at) - Math.max(now, Date.now() - 10_000)) / 1_000;
  const text = Math.abs(away) < 5 ? "now" : away > 0 ? `in ${span(away)}` : `${span(away)} ago`;
  return <time dateTime={at} title={exactly(at)} style={{ whiteSpace: "nowrap" }}>{text}</time>;
}

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function exactly(at: string): string {
  return `${LOCAL.format(new Date(at))} (${at})`;
}
