// The REST API, typed by its own OpenAPI document; who asks stands in every request.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";
import { credentials } from "./credentials";
import { fresh } from "./signin";

export type Schemas = components["schemas"];
export type Instance = Schemas["Instance"];
export type Task = Schemas["TaskInfo"];
export type Definition = Schemas["Definition"];

/** What a server says is wrong (RFC 9457): a text for people, what to do, and a code for programs. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly remedy: string,
    readonly places: { pointer: string; message: string }[],
  ) {
    super(message);
  }
}

export const api = createClient<paths>({ baseUrl: "" });

export function headers(): Record<string, string> {
  const { key, tenant, actor } = credentials();
  return {
    ...(key ? { Authorization: `Bearer ${key}` } : {}),
    ...(tenant ? { "X-Tenant": tenant } : {}),
    ...(actor ? { "X-Actor": encodeHeader(actor) } : {}),
  };
}

/** Headers are bytes: a name in other letters is sent as UTF-8, as the server reads it. */
function encodeHeader(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

api.use({
  async onRequest({ request }) {
    if (new URL(request.url).pathname !== "/api/v1/sign-in") await fresh();
    for (const [name, value] of Object.entries(headers())) request.headers.set(name, value);
    // Of a start and a fork it would be the instance's key, which people give, or leave out.
    const keyed = request.headers.has("Idempotency-Key") || /\/(instances|fork)$/.test(new URL(request.url).pathname);
    if (request.method === "POST" && !keyed) request.headers.set("Idempotency-Key", nonce());
    return request;
  },
});

/** A key under which a request is done once, however often it is sent. */
function nonce(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

type Answered<T> = Promise<{ data?: T; error?: unknown; response: Response }>;

/** The answer, or a Problem. */
export async function ask<T>(asked: Answered<T>): Promise<T> {
  let found: Awaited<Answered<T>>;
  try {
    found = await asked;
  } catch {
    throw new Problem(0, "unreachable", "The server does not answer.", "It is asked again by itself.", []);
  }
  if (found.response.ok) return found.data as T;
  throw problemOf(found.response.status, found.error);
}

function problemOf(status: number, told: unknown): Problem {
  const it = (typeof told === "object" && told !== null ? told : {}) as Partial<Schemas["Problem"]>;
  const places = it.errors ?? [];
  const text = it.detail || places.map((p) => `${p.pointer} ${p.message}`).join("; ") || it.title || `The server answers ${status}.`;
  return new Problem(status, it.code ?? "unknown", text, it.remedy ?? "", places);
}
