import { TextInput } from "@mantine/core";
import { useEffect, useState } from "react";

/** A text that is a filter once it is whole: on Enter, or when one leaves it. */
export function Words({ label, value, set, placeholder }: { label: string; value?: string; set: (v?: string) => void; placeholder?: string }) {
  const [now, setNow] = useState(value ?? "");
  useEffect(() => setNow(value ?? ""), [value]);
  const done = () => { if (now !== (value ?? "")) set(now || undefined); };
  return (
    <TextInput
      label={label} value={now} placeholder={placeholder} w={150} onChange={(e) => setNow(e.currentTarget.value)} onBlur={done}
      onKeyDown={(e) => { if (e.key === "Enter") done(); }}
    />
  );
}
