// Times: how long ago, or until, with the exact one at hand.
import { Text } from "@mantine/core";
import { useEffect, useState } from "react";

const STEPS: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

/** `90` seconds as "2 min": one unit is enough to judge by. */
export function span(seconds: number): string {
  const size = Math.abs(seconds);
  if (size < 1) return size < 0.001 ? "0 ms" : `${Math.round(size * 1_000)} ms`;
  const [unit, name] = STEPS.find(([each]) => size >= each) ?? [1, "s"];
  return `${size / unit < 10 && unit > 1 ? Math.round((size / unit) * 10) / 10 : Math.round(size / unit)} ${name}`;
}

export function useNow(every = 10_000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function When({ at, none = "–" }: { at: string | null | undefined; none?: string }) {
  const now = useNow();
  if (!at) return <>{none}</>;
  const away = (Date.parse(at) - now) / 1_000;
  const text = Math.abs(away) < 5 ? "now" : away > 0 ? `in ${span(away)}` : `${span(away)} ago`;
  return <Text component="time" inherit span dateTime={at} title={exactly(at)} style={{ whiteSpace: "nowrap" }}>{text}</Text>;
}

export function exactly(at: string): string {
  return `${new Date(at).toLocaleString()} (${at})`;
}
