"""Flows: tokens on arcs. Which step fires, what it takes, where it puts tokens, and when nothing moves any more.

| join | fires | takes |
|---|---|---|
| each | when an arc has a token | that one |
| all | when every arc has one | one of each |
| live | when some arc has one, and no other can come (see below) | one of each that has one |
| n | when so many arcs have one, and no round is open | one of each of these; a round is open for the others |
| count | when an arc has so many | so many of it |

No other token can come to a live join: none elsewhere can reach an empty arc of it that could not reach a filled one as well, on a
way that does not lead through the join itself (Völzer 2010, the inclusive gateway of BPMN 2.0). Guards are ignored.

| a round of n is open, and | rest | then |
|---|---|---|
| a token comes on an arc that it waits for | swallow, block | dropped, the arc is not waited for any more |
| one comes on another arc | swallow | dropped |
| | block | waits for the next round |
| it waits for no arc, or none can reach those it waits for | - | the round is over |
| it has fired | cancel | its region is cancelled, there is no open round |

| a firing is over | tokens go |
|---|---|
| done, split all | on every arc whose guard holds, as many as `times` says |
| done, split first | on the first arc whose guard holds |
| cancelled | nowhere |

| nothing fires, nothing is open, and | then |
|---|---|
| a live join has a token | the first of these fires: they wait for each other |
| tokens are left | failed (`flow_stuck`), or dropped |
| none are left | data conflicts judged; closes |
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel import region
from stepkeel.kernel.data import PureFailed, ask_at, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import open_body
from stepkeel.kernel.merge import MergeFailed, reconcile, settle_parts
from stepkeel.kernel.parts import body_of, put_round, round_of, tokens_of
from stepkeel.model.flow import FlowNode, FlowStep
from stepkeel.model.function import Function
from stepkeel.model.snapshot import Failure, Frame, Round, Token, Tokens, how_many

__all__ = ["begin", "complete", "ended", "resume"]

MOST = 10_000  # firings in one decision: more of them are steps that do nothing, round and round
Taken = tuple[tuple[str, int], ...]  # how many tokens of which arc


def begin(draft: Draft, path: str) -> None:
    """Its first steps fire, whatever their joins ask for."""
    draft.put(path, Frame(run="open", round=Round(tokens=Tokens())))
    board = _Board(draft, path)
    if all(board.fire(board.node.step(name), ()) for name in board.node.start):
        board.advance()


def resume(draft: Draft, path: str) -> None:
    """Redriven after it has failed itself: what it could not do is tried again."""
    draft.put(path, Frame(run="open", round=round_of(draft, path)))
    board = _Board(draft, path)
    if all(board.over(part) for part in board.due):
        board.advance()


def ended(draft: Draft, path: str, part: str, outcome: str) -> None:
    """A firing is over."""
    board = _Board(draft, path)
    if outcome == "done":
        if board.over(part):
            board.advance()
        return
    board.cancelled(part)
    board.advance()


def complete(draft: Draft, path: str) -> None:
    """Nothing in it is wanted any more."""
    board = _Board(draft, path)
    for part in [*board.going]:
        region.cancel(draft, body_of(board.node, path, part))
        board.cancelled(part)
    board.drop(board.arcs, "completed")
    board.due, board.late = (), {}
    board.save()
    board.close()


class _Board:
    """Where the tokens of a flow are, while they are moved."""

    def __init__(self, draft: Draft, path: str) -> None:
        node, tokens = draft.node_at(path), tokens_of(draft, path)
        assert isinstance(node, FlowNode)
        self.draft, self.path, self.node = draft, path, node
        self.arcs = {**tokens.arcs}
        self.fired = {**tokens.fired}
        self.going = {**tokens.going}
        self.late = {**tokens.late}
        self.due = tokens.due
        self.depths = {**tokens.depths}

    def save(self) -> None:
        tokens = Tokens({**self.arcs}, {**self.fired}, {**self.going}, {**self.late}, self.due, {**self.depths})
        put_round(self.draft, self.path, replace(round_of(self.draft, self.path), tokens=tokens))

    def _body(self, part: str) -> str:
        return body_of(self.node, self.path, part)

    def _fail(self, failure: Failure) -> bool:
        self.save()
        self.draft.fail(self.path, failure)
        return False

    # -- firing

    def advance(self) -> None:
        """Whatever may fire fires; if nothing is open then, the flow is over."""
        if self.draft.open[self.path].run != "open":
            self.save()  # it has failed, and is paused
            return
        try:
            for _ in range(MOST):
                self._close_rounds()
                step, taken = self._next() or (None if self.going else self._freed()) or (None, ())
                if step is None:
                    break
                if not self.fire(step, taken):
                    return
            else:
                text = f"{MOST} firings in one decision, and no end"
                self._fail(Failure("no_progress", text, self.path, kind="permanent"))
                return
        except PureFailed as error:
            self._fail(pure_failure(self.path, error))
            return
        self.save()
        if not self.going:
            self._finish()

    def _waiting(self) -> list[FlowStep]:
        """The steps that tokens have come to, in order of declaration."""
        return [self.node.steps[n] for n in sorted({self.node.place[self.node.arcs[key].target] for key in self.arcs})]

    def _next(self) -> tuple[FlowStep, Taken] | None:
        for step in self._waiting():
            taken = self._asked(step)
            if taken:
                return step, taken
        return None

    def _asked(self, step: FlowStep) -> Taken:
        """What a step takes if it fires now; nothing if it does not. Raises PureFailed."""
        every = [arc.key for arc in self.node.incoming[step.key]]
        filled = [key for key in every if key in self.arcs]
        if step.join == "each":
            filled = filled[:1]
        elif step.join == "count":
            need = self._number(step, step.need, 1)
            return tuple((key, need) for key in filled if how_many(self.arcs[key]) >= need)[:1]
        elif step.join == "all":
            filled = filled if len(filled) == len(every) else []
        elif step.join == "live":
            filled = [] if self._reached(step, [key for key in every if key not in self.arcs], filled) else filled
        else:
            need = self._number(step, step.need, 1)
            filled = filled[:need] if len(filled) >= need and step.key not in self.late else []
        return tuple((key, 1) for key in filled)

    def _freed(self) -> tuple[FlowStep, Taken] | None:
        """Of live joins that wait for each other the first."""
        for step in self._waiting():
            if step.join == "live":
                return step, tuple((arc.key, 1) for arc in self.node.incoming[step.key] if arc.key in self.arcs)
        return None

    def _number(self, step: FlowStep, given: int | Function, least: int, at: str = "") -> int:
        """Raises PureFailed."""
        found = ask_at(self.draft, at or self.path, given) if isinstance(given, Function) else given
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            raise PureFailed(f"{step.key}: {found!r} tokens, and it has to be a whole number from {least}")
        return found

    def fire(self, step: FlowStep, taken: Taken) -> bool:
        """A step begins; False where it was over at once, and its split has failed."""
        tokens = [self._take(key, n) for key, n in taken]
        if step.join == "n" and taken:
            self._open_round(step, {key for key, _ in taken})
        n = self.fired[step.key] = self.fired.get(step.key, 0) + 1
        part = step.key if n == 1 else f"{step.key}#{n}"
        past = self._living(name for token in tokens for name in token.past)
        self.going[part] = Token(1, max((t.depth for t in tokens), default=-1) + 1, past)
        if step.body:
            open_body(self.draft, self._body(part), step.body)
            return True
        self.save()
        return self.over(part)

    def _take(self, key: str, n: int) -> Token:
        """So many tokens of an arc, the oldest first: as one, behind all that led to them."""
        depth, past, left = 0, set[str](), [*self.arcs.pop(key)]
        while n:
            first = left.pop(0)
            depth, past = max(depth, first.depth), past | {*first.past}
            if first.n > n:
                left.insert(0, replace(first, n=first.n - n))
            n -= min(n, first.n)
        if left:
            self.arcs[key] = tuple(left)
        return Token(1, depth, tuple(past))

    def _living(self, past: Iterable[str]) -> tuple[str, ...]:
        """Those whose values still count."""
        writers = {p for w in round_of(self.draft, self.path).wrote.values() for p in ([w] if isinstance(w, str) else w)}
        return tuple(sorted({*past} & writers, key=self.node.order))

    # -- joins of n

    def _open_round(self, step: FlowStep, taken: set[str]) -> None:
        if step.rest == "cancel":
            self._cancel(step)
            return
        left = tuple(arc.key for arc in self.node.incoming[step.key] if arc.key not in taken)
        if left:
            self.late[step.key] = left

    def _cancel(self, step: FlowStep) -> None:
        for part in [p for p in self.going if self.node.step(p).key in step.region]:
            region.cancel(self.draft, self._body(part))
            self.cancelled(part)
        arcs = [self.node.arcs[key] for key in self.arcs]
        gone = [a.key for a in arcs if a.target in step.region or (a.source in step.region and a.target == step.key)]
        self.drop(gone, "cancelled")

    def _close_rounds(self) -> None:
        """Late tokens are dropped; rounds for which no more can come are over."""
        for name, waits in [*self.late.items()]:
            step = self.node.step(name)
            came = [arc.key for arc in self.node.incoming[name] if arc.key in self.arcs]
            if step.rest == "swallow":
                self.drop(came, "swallowed")
            else:
                self.drop([key for key in came if key in waits], "swallowed", one=True)
            left = tuple(key for key in waits if key not in came)
            if self._reached(step, left):
                self.late[name] = left
            else:
                del self.late[name]

    def _reached(self, step: FlowStep, arcs: Iterable[str], filled: Iterable[str] = ()) -> bool:
        """A token elsewhere, or an open firing, can reach one of these arcs, and none of the filled ones."""
        bits = {arc.key: 1 << n for n, arc in enumerate(self.node.incoming[step.key])}
        wanted, others = sum(bits[key] for key in arcs), sum(bits[key] for key in filled)
        reaching = self.node.reaching(step.key)
        places = {self.node.arcs[key].target for key in self.arcs} | {self.node.step(part).key for part in self.going}
        return any(reaching.get(place, 0) & wanted and not reaching[place] & others for place in places)

    # -- ending

    def over(self, part: str) -> bool:
        """A firing is done: its tokens go on. False where its split has failed."""
        step, token = self.node.step(part), self.going[part]
        try:
            put = self._split(step, part)
        except PureFailed as error:
            self.due = (*(p for p in self.due if p != part), part)
            return self._fail(pure_failure(self.path, error))
        self._leave(part, "done")
        on = Token(1, token.depth, self._living((*token.past, part)))
        for key, n in put:
            on_arc = self.arcs.get(key, ())
            if on_arc and (on_arc[-1].depth, on_arc[-1].past) == (on.depth, on.past):
                self.arcs[key] = (*on_arc[:-1], replace(on, n=on_arc[-1].n + n))
            else:
                self.arcs[key] = (*on_arc, replace(on, n=n))
        self._settle()
        many = sum(map(how_many, self.arcs.values())) + len(self.going)
        if many > self.node.max_tokens:
            text = f"{many} tokens, and at most {self.node.max_tokens} may be in it"
            return self._fail(Failure("too_many_tokens", text, self.path, kind="permanent"))
        return True

    def _split(self, step: FlowStep, part: str) -> list[tuple[str, int]]:
        """Raises PureFailed."""
        at = f"{self._body(part)}/"
        found: list[str] = []
        for arc in step.arcs:
            if holds(self.draft, arc.when, at=at):
                found.append(arc.key)
                if step.first:
                    break
        n = self._number(step, step.times, 0, at) if found else 0
        return [(key, n) for key in found] if n else []

    def cancelled(self, part: str) -> None:
        """A firing is over, and nothing comes of it: nor of the fields on which it does not agree with others."""
        self._leave(part, "cancelled")
        round = round_of(self.draft, self.path)
        wrote: dict[str, str | dict[str, Raw]] = {}
        for field, by in round.wrote.items():
            wrote[field] = by if isinstance(by, str) else {p: v for p, v in by.items() if p != part}
        put_round(self.draft, self.path, replace(round, wrote={f: by for f, by in wrote.items() if by}))

    def _leave(self, part: str, outcome: str) -> None:
        token = self.going.pop(part)
        self.due = tuple(p for p in self.due if p != part)
        if any(part in parts for parts in round_of(self.draft, self.path).parts.values()):
            self.depths[part] = token.depth
        self.draft.say("step_ended", self._body(part), outcome=outcome)

    def _settle(self) -> None:
        """Contributions to reduced fields count for good once none can come before them any more."""
        if not self.depths:
            return
        to_come = [t.depth for t in self.going.values()] + [t.depth + 1 for tokens in self.arcs.values() for t in tokens]
        least = min(to_come, default=None)
        over = [part for part, depth in self.depths.items() if least is None or depth < least]
        over.sort(key=lambda part: (self.depths[part], self.node.order(part)))
        put_round(self.draft, self.path, settle_parts(self.draft, round_of(self.draft, self.path), over))
        for part in over:
            del self.depths[part]

    def drop(self, arcs: Iterable[str], reason: str, *, one: bool = False) -> None:
        """The tokens on some arcs, or one of each, are gone."""
        for key in [*arcs]:
            n = 1 if one else how_many(self.arcs[key])
            self._take(key, n)
            many = {"n": n} if n > 1 else {}
            self.draft.say("token_dropped", self.path, arc=key, reason=reason, **many)

    def _finish(self) -> None:
        left = [*self.arcs]
        if left and self.node.leftover == "fail":
            says = ", ".join(f"{key} ({how_many(self.arcs[key])})" for key in left)
            text = f"nothing fires any more, and tokens are left on {says}"
            self._fail(Failure("flow_stuck", text, self.path, kind="permanent"))
            return
        self.drop(left, "left")
        self.save()
        self.close()

    def close(self) -> None:
        fired = sum(self.fired.values())
        try:
            reconcile(self.draft, self.path, round_of(self.draft, self.path), lambda _: True)
        except MergeFailed as error:
            self.draft.fail(self.path, pure_failure(self.path, error))
            return
        self.draft.say("join_resolved", self.path, arrived=fired, size=fired)
        self.draft.closing.append(self.path)
