// What is wider than a page is scrolled by itself, by keyboard too.
import type { ReactNode } from "react";

export function Scrolls({ label, children }: { label: string; children: ReactNode }) {
  return <div className="scrolls" tabIndex={0} role="region" aria-label={label}>{children}</div>;
}
