// Filters under a name of one's own, kept in this browser.
import { ActionIcon, Button, Group, Menu, Text, TextInput } from "@mantine/core";
import { IconBookmark, IconTrash } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";

type Filters = Record<string, string | string[] | undefined>;
type Saved = Record<string, Filters>;
const PLACE = "stepkeel.views";

function read(): Saved {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "{}") as Saved;
  } catch {
    return {};
  }
}

export function Views({ filters }: { filters: Filters }) {
  const [saved, setSaved] = useState(read);
  const [name, setName] = useState("");
  const keep = (next: Saved) => {
    localStorage.setItem(PLACE, JSON.stringify(next));
    setSaved(next);
  };
  const save = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim()) keep({ ...saved, [name.trim()]: filters });
    setName("");
  };
  return (
    <Menu position="bottom-end" width={280}>
      <Menu.Target><Button variant="default" leftSection={<IconBookmark size={14} />}>Views</Button></Menu.Target>
      <Menu.Dropdown>
        {Object.keys(saved).length === 0 && <Text size="sm" c="dimmed" px="sm" py={4}>Filters that you save stand here.</Text>}
        {Object.entries(saved).sort().map(([each, its]) => (
          <Group key={each} wrap="nowrap" gap={4}>
            <Menu.Item renderRoot={(props) => <Link to="/instances" search={its} {...props} />}>{each}</Menu.Item>
            <ActionIcon variant="subtle" color="red" aria-label={`Forget ${each}`} onClick={() => keep(Object.fromEntries(Object.entries(saved).filter(([k]) => k !== each)))}><IconTrash size={14} /></ActionIcon>
          </Group>
        ))}
        <Menu.Divider />
        <form onSubmit={save}>
          <Group px="sm" pb="xs" gap="xs" wrap="nowrap" align="end">
            <TextInput size="xs" label="Save this view as" value={name} onChange={(e) => setName(e.currentTarget.value)} flex={1} onKeyDown={(e) => e.stopPropagation()} />
            <Button size="xs" type="submit" disabled={!name.trim()}>Save</Button>
          </Group>
        </form>
      </Menu.Dropdown>
    </Menu>
  );
}
