// Who asks: kept for this tab alone, and gone with it.
export interface Credentials {
  key: string;
  tenant: string;
  actor: string;
  issuer: string; // at whose page they signed in; empty: the key was typed
  refresh: string; // what renews it
  until: number; // milliseconds since 1970
}

const PLACE = "stepkeel.credentials";
const NOBODY: Credentials = { key: "", tenant: "", actor: "", issuer: "", refresh: "", until: 0 };
let known: Credentials | undefined;

export function credentials(): Credentials {
  if (known === undefined) {
    try {
      known = { ...NOBODY, ...(JSON.parse(sessionStorage.getItem(PLACE) ?? "{}") as Partial<Credentials>) };
    } catch {
      known = NOBODY;
    }
  }
  return known;
}

export function keepCredentials(changes: Partial<Credentials>): void {
  known = { ...credentials(), ...changes };
  sessionStorage.setItem(PLACE, JSON.stringify(known));
}

export function forgetCredentials(): void {
  known = NOBODY;
  sessionStorage.removeItem(PLACE);
}
