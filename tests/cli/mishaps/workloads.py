"""A workload is declared well, and does not run, or not as it was meant."""

from tests.cli.mishaps.stage import Stage
from tests.support.daemon import SERVE


def no_such_program(stage: Stage) -> None:
    """The image has no program of that name."""
    stage.runs("web", "", "", command=["ngnix"])
    stage.capsule.until(
        lambda: stage.capsule.status("web").get("endsInARow", 0) or stage.capsule.status("web").get("message"),
        "it failed",
    )
    stage.types("apply", "-f", "-", "--wait", "--timeout", "5", input=stage.capsule.good("get", "web", "-o", "yaml"))
    stage.types("why", "web")


def crash_loop(stage: Stage) -> None:
    """It ends at once, each time."""
    stage.runs(
        "web",
        "echo no database >&2; exit 3",
        "",
        restart={"mode": "always", "backoffFirst": "1h", "backoffCap": "1h"},
    )
    stage.capsule.until(lambda: stage.capsule.status("web").get("endsInARow", 0), "it ended")
    stage.types("logs", "web", "-n", "1")
    stage.types("why", "web")


def out_of_memory(stage: Stage) -> None:
    """It takes more memory than it may."""
    stage.runs("web", "x=a; while :; do x=$x$x; done", "", resources={"memory": "16MiB"}, restart={"mode": "never"})
    stage.capsule.until(lambda: "memory" in str(stage.capsule.status("web")), "the kernel ended it")
    stage.types("why", "web")


def unhealthy(stage: Stage) -> None:
    """It runs, and its check fails."""
    check = {"exec": ["test", "-e", "/ready"], "interval": "200ms", "retries": 2, "startPeriod": "0s"}
    stage.runs("web", SERVE, "", health=check, restart={"mode": "never"})
    stage.capsule.until(lambda: stage.capsule.status("web").get("health") == "unhealthy", "its check failed twice")
    stage.types("wait", "web", "--for", "healthy", "--timeout", "2")
    stage.types("why", "web")


def waits_for_who_is_not_ready(stage: Stage) -> None:
    """Whom it waits for has ended for good."""
    stage.runs("db", "exit 1", "", restart={"mode": "never"})
    stage.apart("wait", "db", "--for", "stopped")
    text = "name: web\nkind: Container\ndependsOn: [db]\ncontainer: {image: demo:1, command: [sleep, '1000']}\n"
    stage.apart("apply", "-f", "-", stdin=text)
    stage.types("wait", "web", "--for", "running", "--timeout", "2")
    stage.types("why", "web")


def exec_in_who_does_not_run(stage: Stage) -> None:
    """A command is to run in a workload that is stopped."""
    stage.runs("web")
    stage.apart("stop", "web", "--wait")
    stage.types("exec", "web", "--", "ls")


def exec_of_no_program(stage: Stage) -> None:
    """The command is not there."""
    stage.runs("web")
    stage.types("exec", "web", "--", "bash")


def exec_of_what_fails(stage: Stage) -> None:
    """The command fails with a code of its own."""
    stage.runs("web")
    stage.types("exec", "web", "--", "sh", "-c", "exit 42")


def nobody_of_that_name(stage: Stage) -> None:
    """A letter is wrong in the name."""
    stage.runs("weather")
    stage.types("logs", "wheather")
    stage.types("get", "wheather")
    stage.types("stop", "wheather")
    stage.types("why", "wheather")


def delete_without_a_terminal(stage: Stage) -> None:
    """Nobody can be asked, and --yes was not said."""
    stage.runs("web")
    stage.types("delete", "web")


def changed_since_it_was_looked_at(stage: Stage) -> None:
    """Two operators at once: the second one's change is made of what is no more."""
    stage.runs("web")
    seq = stage.capsule.history("web")[-1]["seq"]
    stage.apart("stop", "web", "--wait")
    stage.types("stop", "web", "--expect-seq", str(seq))


def no_revision_before(stage: Stage) -> None:
    """There is nothing to go back to. Of one that was deleted and created anew there is what it was before."""
    stage.runs("novel")
    stage.types("rollback", "novel", "--to", "previous", "--yes")
    stage.apart("delete", "novel", "--yes")
    stage.apart("wait", "novel", "--for", "gone")
    stage.runs("novel")
    stage.types("rollback", "novel", "--to", "previous", "--yes")


def a_moment_that_is_none(stage: Stage) -> None:
    """A moment nobody understands, and one that is to come."""
    stage.types("list", "--at", "yesterdayish")
    stage.types("list", "--at", "999999999")
    stage.types("diff", "1h ago")


def copy_of_what_is_not_there(stage: Stage) -> None:
    """A file that is on neither side."""
    stage.runs("web")
    stage.types("cp", "page.html", "web:/tmp/")
    stage.types("cp", "web:/nowhere", ".")
    stage.types("cp", "page.html", "copy.html")


MISHAPS = (
    no_such_program, crash_loop, out_of_memory, unhealthy, waits_for_who_is_not_ready, exec_in_who_does_not_run,
    exec_of_no_program, exec_of_what_fails, nobody_of_that_name, delete_without_a_terminal,
    changed_since_it_was_looked_at, no_revision_before, a_moment_that_is_none, copy_of_what_is_not_there,
)  # fmt: skip
