// A form for what a JSON Schema describes: as data of definitions, signals and tasks tell theirs. The server has the last word.
import { Checkbox, JsonInput, NumberInput, Select, Stack, TagsInput, Textarea, TextInput } from "@mantine/core";

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  default?: unknown;
  enum?: unknown[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  format?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
}

export type Values = Record<string, unknown>;

/** A schema with what it refers to put in its place. */
export function resolved(schema: Schema, defs: Record<string, Schema> = schema.$defs ?? {}): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name && defs[name] ? { ...resolved(defs[name], defs), $defs: defs } : { ...schema, $defs: defs };
}

/** One that may also be null, as one that need not be said. */
function plain(schema: Schema): { schema: Schema; nullable: boolean } {
  const several = schema.anyOf ?? schema.oneOf;
  const rest = several?.filter((s) => s.type !== "null");
  if (several && rest?.length === 1) return { schema: resolved({ ...rest[0]! }, schema.$defs), nullable: several.length > 1 };
  return { schema, nullable: false };
}

/** What a form begins with: the defaults, where there are any. */
export function initial(schema: Schema): Values {
  const { properties = {}, $defs } = resolved(schema);
  return Object.fromEntries(
    Object.entries(properties)
      .map(([name, s]) => [name, resolved(s, $defs).default] as const)
      .filter(([, value]) => value !== undefined),
  );
}

interface Props {
  schema: Schema;
  values: Values;
  change: (values: Values) => void;
  wrong?: Record<string, string>;
}

export function SchemaForm({ schema, values, change, wrong = {} }: Props) {
  const whole = resolved(schema);
  const fields = Object.entries(whole.properties ?? {});
  if (fields.length === 0) return null;
  return (
    <Stack gap="sm">
      {fields.map(([name, s]) => (
        <Field
          key={name} name={name} schema={resolved(s, whole.$defs)} value={values[name]} required={whole.required?.includes(name) ?? false}
          error={wrong[name]} change={(value) => change({ ...values, [name]: value })}
        />
      ))}
    </Stack>
  );
}

interface FieldProps {
  name: string;
  schema: Schema;
  value: unknown;
  required: boolean;
  error?: string;
  change: (value: unknown) => void;
}

function Field({ name, schema: told, value, required, error, change }: FieldProps) {
  const { schema } = plain(told);
  const label = told.title && told.title !== name ? told.title : name.replaceAll("_", " ");
  const common = { label, description: told.description, required, error, withAsterisk: required };
  const type = Array.isArray(schema.type) ? schema.type.find((t) => t !== "null") : schema.type;
  if (schema.enum) {
    const data = schema.enum.map(String);
    return <Select {...common} data={data} value={value === undefined ? null : String(value)} clearable={!required} onChange={(v) => change(v === null ? undefined : schema.enum!.find((e) => String(e) === v))} />;
  }
  switch (type) {
    case "boolean":
      return <Checkbox label={label} description={told.description} error={error} checked={value === true} onChange={(e) => change(e.currentTarget.checked)} />;
    case "integer":
    case "number":
      return (
        <NumberInput
          {...common} value={typeof value === "number" ? value : ""} allowDecimal={type === "number"} min={schema.minimum} max={schema.maximum}
          onChange={(v) => change(v === "" ? undefined : Number(v))}
        />
      );
    case "array":
      if (resolved(schema.items ?? {}, schema.$defs).type === "string") {
        return <TagsInput {...common} withAsterisk={false} required={false} value={Array.isArray(value) ? value.map(String) : []} onChange={change} placeholder="Enter after each" />;
      }
      return <Raw {...common} value={value} change={change} />;
    case "string":
      if (schema.format === "date-time") return <TextInput {...common} placeholder="2026-01-31T12:00:00Z" value={String(value ?? "")} onChange={(e) => change(e.currentTarget.value || undefined)} />;
      if ((schema.maxLength ?? 0) > 200 || name === "comment") return <Textarea {...common} autosize minRows={2} value={String(value ?? "")} onChange={(e) => change(e.currentTarget.value)} />;
      return <TextInput {...common} value={String(value ?? "")} onChange={(e) => change(e.currentTarget.value)} />;
    default:
      return <Raw {...common} value={value} change={change} />;
  }
}

/** What has no field of its own is written as JSON. It is not laid out anew when it is left: what was just clicked would move away. */
function Raw({ value, change, ...common }: { value: unknown; change: (value: unknown) => void; label: string; description?: string; error?: string; required: boolean }) {
  return (
    <JsonInput
      {...common} autosize minRows={2} validationError="That is no JSON" defaultValue={value === undefined ? "" : JSON.stringify(value, null, 2)}
      onChange={(text) => {
        try {
          change(text.trim() ? JSON.parse(text) : undefined);
        } catch {
          /* told by the field itself, until it is JSON */
        }
      }}
    />
  );
}
