// Ctrl K: to any page, or to an instance by its id.
import { Spotlight, spotlight } from "@mantine/spotlight";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useSession } from "./session";
import { PLACES } from "./shell";

export function openPalette(): void {
  spotlight.open();
}

export function Palette() {
  const navigate = useNavigate();
  const { may } = useSession();
  const [query, setQuery] = useState("");
  const wanted = query.trim();
  const places = PLACES.filter((p) => may(p.needs) && p.label.toLowerCase().includes(wanted.toLowerCase()));
  return (
    <Spotlight.Root query={query} onQueryChange={setQuery} shortcut={["mod + K", "/"]} attributes={{ content: { "aria-label": "Go to" } }}>
      <Spotlight.Search placeholder="A page, a key or the id of an instance" aria-label="Go to" />
      <Spotlight.ActionsList>
        {places.map(({ to, label, icon: Icon }) => (
          <Spotlight.Action key={to} label={label} leftSection={<Icon size={18} />} onClick={() => void navigate({ to })} />
        ))}
        {/^[0-9a-f-]{20,}$/.test(wanted) && (
          <Spotlight.Action label={`Instance ${wanted}`} onClick={() => void navigate({ to: "/instances/$id", params: { id: wanted } })} />
        )}
        {wanted && (
          <Spotlight.Action label={`Instances with the key ${wanted}`} onClick={() => void navigate({ to: "/instances", search: { key: wanted } })} />
        )}
        {!places.length && !wanted && <Spotlight.Empty>Nothing found</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
