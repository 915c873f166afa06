import { Badge } from "@mantine/core";

export const STATUSES = ["created", "running", "waiting", "paused", "completed", "failed", "cancelled", "terminated"] as const;
export type Status = (typeof STATUSES)[number];

export const COLORS: Record<string, string> = {
  created: "gray", running: "blue", waiting: "cyan", paused: "yellow", completed: "green", failed: "red", cancelled: "grape",
  terminated: "pink", open: "blue", withdrawn: "gray", pending: "yellow", processed: "green", rejected: "red", ignored: "gray",
  closed: "green", half_open: "yellow",
};

/** Where it stands: the name for people while it is on its way (the last one that was given), the state's own once it has ended. */
export function placeOf(i: { label: string; state: string; completed_at: string | null }): string {
  return (i.completed_at === null && i.label) || i.state;
}

export function StatusBadge({ status, fault }: { status: string; fault?: string | null }) {
  return (
    <Badge variant="light" color={fault ? "orange" : (COLORS[status] ?? "gray")} tt="none" style={{ flexShrink: 0 }} className="status">
      {fault ? "set aside" : status.replace("_", " ")}
    </Badge>
  );
}
