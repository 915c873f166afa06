// Who may do what, for whom: tenants, keys and roles.
import { Tabs } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { Page } from "../parts/told";
import { useSession } from "../session";
import { Keys } from "./keys";
import { Roles } from "./roles";
import { Tenants } from "./tenants";

const TABS = [
  { name: "keys", label: "Keys", needs: "list_keys", shows: Keys },
  { name: "roles", label: "Roles", needs: "list_roles", shows: Roles },
  { name: "tenants", label: "Tenants", needs: "list_tenants", shows: Tenants },
] as const;

const route = getRouteApi("/access");

export function Access() {
  const { may } = useSession();
  const navigate = route.useNavigate();
  const asked = route.useSearch().tab;
  const tabs = TABS.filter((t) => may(t.needs));
  const shown = tabs.find((t) => t.name === asked) ?? tabs[0];
  return (
    <Page title="Tenants, keys and roles">
      <Tabs value={shown?.name ?? null} onChange={(tab) => void navigate({ search: { tab: tab ?? undefined } })} keepMounted={false}>
        <Tabs.List>{tabs.map((t) => <Tabs.Tab key={t.name} value={t.name}>{t.label}</Tabs.Tab>)}</Tabs.List>
        {tabs.map((t) => <Tabs.Panel key={t.name} value={t.name} pt="md"><t.shows /></Tabs.Panel>)}
      </Tabs>
    </Page>
  );
}
