// Addresses: whatever a page shows stands in them, so that a reload, a bookmark and a colleague see the same.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Link } from "@tanstack/react-router";
import { patiently } from "./parts/lazily";
import { Empty, Page, Wrong } from "./parts/told";
import { Instances } from "./pages/instances";
import { Overview } from "./pages/overview";
import { Shell } from "./shell";

type Search = Record<string, unknown>;

function text(value: unknown): string | undefined {
  return typeof value === "string" && value ? value : typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function texts(value: unknown): string[] | undefined {
  const found = (Array.isArray(value) ? value : [value]).map(text).filter((v) => v !== undefined);
  return found.length ? found : undefined;
}

/** Only those named, as texts: nothing else of an address comes into a page. */
function only<K extends string>(search: Search, ...names: K[]): { [N in K]?: string } {
  return Object.fromEntries(names.map((n) => [n, text(search[n])]).filter(([, v]) => v !== undefined)) as { [N in K]?: string };
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Page title="There is no such page"><Empty title="Nothing is at this address"><Link to="/">To the overview</Link></Empty></Page>,
});

const overview = createRoute({ getParentRoute: () => root, path: "/", component: Overview });

const instances = createRoute({
  getParentRoute: () => root,
  path: "/instances",
  component: Instances,
  validateSearch: (s: Search) => ({
    ...only(s, "definition", "state", "key", "correlation_id", "parent", "attribute", "created_from", "created_to", "updated_from", "updated_to",
      "completed_from", "completed_to", "fault", "archived", "sort"),
    ...(texts(s.status) ? { status: texts(s.status) } : {}),
  }),
});

const instance = createRoute({
  getParentRoute: () => root,
  path: "/instances/$id",
  component: lazyRouteComponent(() => patiently(() => import("./pages/instance")), "InstancePage"),
  validateSearch: (s: Search) => only(s, "tab", "from", "to", "do"),
});

const tasks = createRoute({
  getParentRoute: () => root,
  path: "/tasks",
  component: lazyRouteComponent(() => patiently(() => import("./pages/tasks")), "Tasks"),
  validateSearch: (s: Search) => only(s, "whose", "task", "text", "status"),
});

const dead = createRoute({
  getParentRoute: () => root,
  path: "/dead-letters",
  component: lazyRouteComponent(() => patiently(() => import("./pages/dead")), "DeadLetters"),
  validateSearch: (s: Search) => only(s, "definition", "code", "fingerprint"),
});

const definitions = createRoute({
  getParentRoute: () => root,
  path: "/definitions",
  component: lazyRouteComponent(() => patiently(() => import("./pages/definitions")), "Definitions"),
});

const definition = createRoute({
  getParentRoute: () => root,
  path: "/definitions/$name/$version",
  component: lazyRouteComponent(() => patiently(() => import("./pages/definition")), "DefinitionPage"),
  validateSearch: (s: Search) => only(s, "start"),
});

const fleet = createRoute({ getParentRoute: () => root, path: "/fleet", component: lazyRouteComponent(() => patiently(() => import("./pages/fleet")), "Fleet") });

const access = createRoute({
  getParentRoute: () => root,
  path: "/access",
  component: lazyRouteComponent(() => patiently(() => import("./pages/access")), "Access"),
  validateSearch: (s: Search) => only(s, "tab"),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  component: lazyRouteComponent(() => patiently(() => import("./pages/audit")), "Audit"),
  validateSearch: (s: Search) => only(s, "actor", "verb", "kind", "subject", "instance_id"),
});

export const router = createRouter({
  routeTree: root.addChildren([overview, instances, instance, tasks, dead, definitions, definition, fleet, access, audit]),
  defaultPreload: "intent",
  defaultErrorComponent: ({ error }) => <Page title="This page cannot be shown"><Wrong error={error instanceof Error ? error : new Error(String(error))} again={() => location.reload()} /></Page>,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
