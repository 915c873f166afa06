// Parts that are loaded when they are needed: a connection that is away is waited for, instead of the page being given up.
import { type ComponentType, lazy } from "react";

const TRIES = 20;

export async function patiently<T>(load: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await load();
    } catch (error) {
      if (n >= TRIES) throw error;
      await new Promise((resume) => setTimeout(resume, Math.min(n * 500, 5_000)));
    }
  }
}

export function lazily<T extends ComponentType<any>>(load: () => Promise<{ default: T }>) {
  return lazy(() => patiently(load));
}
