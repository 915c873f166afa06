// What is around every page: where one can go, who one is, and whether what is shown is live.
import {
  ActionIcon, AppShell, Badge, Burger, Button, Group, Menu, NavLink, Text, TextInput, Tooltip, useComputedColorScheme, useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconAlertTriangle, IconChecklist, IconCommand, IconHistory, IconHome, IconKey, IconListDetails, IconMoon, IconServer, IconSitemap, IconSun,
  IconUser,
} from "@tabler/icons-react";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useState } from "react";
import { openPalette, Palette } from "./palette";
import { useSession } from "./session";

export const PLACES = [
  { to: "/", label: "Overview", icon: IconHome, needs: "get_metrics" },
  { to: "/tasks", label: "Tasks", icon: IconChecklist, needs: "list_tasks" },
  { to: "/instances", label: "Instances", icon: IconListDetails, needs: "list_instances" },
  { to: "/dead-letters", label: "Dead letters", icon: IconAlertTriangle, needs: "list_dead_letters" },
  { to: "/definitions", label: "Definitions", icon: IconSitemap, needs: "list_definitions" },
  { to: "/fleet", label: "Workers and limits", icon: IconServer, needs: "list_workers" },
  { to: "/access", label: "Tenants, keys, roles", icon: IconKey, needs: "list_keys" },
  { to: "/audit", label: "Audit", icon: IconHistory, needs: "read_audit" },
] as const;

export function Shell() {
  const [opened, { toggle, close }] = useDisclosure();
  const { may, feed } = useSession();
  const path = useRouterState({ select: (s) => s.location.pathname });

  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !opened } }} padding="md">
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Menu" aria-expanded={opened} />
            <Link to="/" className="plain">
              <Group gap={8} wrap="nowrap"><img src="/icon.svg" alt="" width={26} height={26} /><Text fw={700}>Stepkeel</Text></Group>
            </Link>
          </Group>
          <Group gap="xs" wrap="nowrap">
            {feed === "away" && <Badge color="orange" variant="light" tt="none" role="status">reconnecting</Badge>}
            <Button variant="default" size="xs" onClick={openPalette} leftSection={<IconCommand size={14} />} visibleFrom="sm">
              Go to… <Text span c="dimmed" size="xs" ml={6}>Ctrl K</Text>
            </Button>
            <Appearance />
            <Who />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" component="nav" aria-label="Pages">
        {PLACES.filter((p) => may(p.needs)).map(({ to, label, icon: Icon }) => (
          <NavLink
            key={to} renderRoot={(props) => <Link to={to} {...props} />} label={label} leftSection={<Icon size={18} stroke={1.6} />}
            active={to === "/" ? path === "/" : path.startsWith(to)} aria-current={path === to ? "page" : undefined} onClick={close}
          />
        ))}
      </AppShell.Navbar>
      <AppShell.Main><Outlet /></AppShell.Main>
      <Palette />
    </AppShell>
  );
}

function Appearance() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light") === "dark";
  const label = dark ? "Light appearance" : "Dark appearance";
  return (
    <Tooltip label={label}>
      <ActionIcon variant="default" size="md" aria-label={label} onClick={() => setColorScheme(dark ? "light" : "dark")}>
        {dark ? <IconSun size={16} /> : <IconMoon size={16} />}
      </ActionIcon>
    </Tooltip>
  );
}

function Who() {
  const { who, signOut, change } = useSession();
  const open = who.how === "development";
  return (
    <Menu position="bottom-end" width={280} closeOnItemClick={false}>
      <Menu.Target>
        <Button variant="default" size="xs" leftSection={<IconUser size={14} />} maw={180} aria-label={`Signed in as ${who.actor || "nobody"}`}>
          <Text span truncate size="xs">{who.actor || "nobody"}</Text>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{open ? "Nobody is asked who they are" : `${who.name}, by ${who.how}`}</Menu.Label>
        <Text size="sm" px="sm">Tenant {who.tenant}</Text>
        <Text size="sm" px="sm" pb="xs">Roles: {who.roles.join(", ") || "none"}</Text>
        {open && <Other label="Act as" value={who.actor} verb="Use" use={(actor) => change({ actor })} />}
        {who.tenants.includes("*") && <Other label="Look at tenant" value={who.tenant} verb="Go" use={(tenant) => change({ tenant })} />}
        {who.tenants.length > 1 && who.tenants.map((t) => (
          <Menu.Item key={t} disabled={t === who.tenant} onClick={() => change({ tenant: t })}>Tenant {t}</Menu.Item>
        ))}
        {!open && <Menu.Item onClick={signOut}>Sign out</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  );
}

/** Another name, typed. */
function Other({ label, value, verb, use }: { label: string; value: string; verb: string; use: (name: string) => void }) {
  const [name, setName] = useState(value);
  return (
    <form onSubmit={(e) => { e.preventDefault(); use(name.trim()); }}>
      <Group px="sm" pb="xs" gap="xs" align="end" wrap="nowrap">
        <TextInput size="xs" label={label} value={name} onChange={(e) => setName(e.currentTarget.value)} flex={1} />
        <Button size="xs" type="submit">{verb}</Button>
      </Group>
    </form>
  );
}
