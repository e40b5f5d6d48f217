"""Lab 12, authorization, as written: selector policies, no waypoint made by hand. And the same at L4, in a namespace without waypoints."""

import json
import os
import time

import pytest
import weft
from bookinfo import Bookinfo
from weft import eventually, python_app

LONG = os.environ.get("WEFT_LABS") == "1"


def viewer(app, *accounts):
    source = f"from: [{{source: {{principals: [{', '.join(f'cluster.local/ns/default/sa/{a}' for a in accounts)}]}}}}], " if accounts else ""
    return f"""
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {{name: {app}-viewer}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  action: ALLOW
  rules: [{{{source}to: [{{operation: {{methods: [GET]}}}}]}}]
"""


DENIED = "RBAC: access denied"
DENY_ALL = """
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: deny-all}
spec:
  {}
"""


def test_lab12_authorization_step_by_step(book):
    book.sample("destination-rule-all")
    book.sample("virtual-service-reviews-v3")
    book.until(lambda: book.versions(5) == {"v3": 5})

    def page(check, what):
        eventually(lambda: check(book.page()), weft.REACH_S, what=what)
        for _ in range(10):
            assert check(book.page()), what

    def color(p):
        return p[1]["reviews"]["reviews"][0]["rating"]

    page(lambda p: p[1]["reviews_status"] == 200 and color(p)["color"] == "red", "0: all well")
    book.apply(DENY_ALL)
    page(lambda p: p[0] == "403" and p[1] == DENIED, "1: denied")
    book.apply(viewer("productpage"))
    page(lambda p: p[0].startswith("200") and p[1]["details_status"] == 403 and p[1]["reviews_upstream"] == 403, "2: the page alone")
    book.apply(viewer("details", "bookinfo-productpage"))
    page(lambda p: p[1]["details_status"] == 200 and p[1]["reviews_upstream"] == 403, "3: and details")
    book.apply(viewer("reviews", "bookinfo-productpage"))
    page(lambda p: p[1]["reviews_status"] == 200 and "error" in color(p), "4: and reviews, without stars")
    book.apply(viewer("ratings", "bookinfo-reviews"))
    page(lambda p: p[1]["reviews_status"] == 200 and color(p).get("color") == "red", "5: all well again")

    got = book.ask("http://productpage:9080/login", 3, "-X", "POST")
    assert got["counts"] == {"403": 3} and got["bodies"] == [DENIED], "POST is not GET"
    got = book.ask("http://details:9080/details/0", 3)
    assert got["counts"] == {"403": 3} and got["bodies"] == [DENIED], "another service account"
    got = book.ask("http://ratings:9080/ratings/0", 3)
    assert got["counts"] == {"403": 3}, "ratings is for reviews"


VIEWERS = [("productpage", []), ("details", ["bookinfo-productpage"]), ("reviews", ["bookinfo-productpage"]), ("ratings", ["bookinfo-reviews"])]
AUTHZ = "authorizationpolicy.security.istio.io"


def test_lab12_nothing_denied_passes_while_policies_come_and_go(book):
    """What is denied at every step is asked 200 times a second through all of them, there and back."""
    mesh = book.mesh
    mesh.apply([weft.namespace("street"), weft.pod("street", "plain", node="node2")])
    mesh.wait("pod", "plain", ns="street")
    reviews = book.pods()["reviews-v3"]
    details, ratings = "http://details:9080/details/0", "http://ratings:9080/ratings/0"
    outside = lambda: json.loads(mesh.exec("street", "plain", *python_app("hammer", f"http://details.{book.ns}:9080/details/0", "-n", 2, "--timeout", 3)).stdout)
    assert outside()["counts"] == {"200 details-v1": 2}

    def reach(check, what):
        begun = time.monotonic()
        eventually(check, weft.REACH_S, what=what)
        took[what] = round(time.monotonic() - begun, 2)

    took = {}
    book.apply(DENY_ALL)
    reach(lambda: book.ask(details, 1)["bodies"] == [DENIED], "deny-all")
    eventually(lambda: "200" not in str(book.ask(ratings, 1)["counts"]) and "200" not in str(outside()["counts"]), weft.REACH_S, what="deny-all, everywhere")
    before = book.count("details-v1", "/details/probe"), book.count("ratings-v1", "/ratings/probe"), book.count("productpage-v1", "/login")
    seconds = 14
    load = lambda url, *more, **where: book.hammer(url, "--seconds", seconds, "-c", 4, "--timeout", 3, *more, **where)
    probes = [load("http://details:9080/details/probe", "--rate", 60, "--reuse"), load("http://ratings:9080/ratings/probe", "--rate", 50),
              load("http://productpage:9080/login", "--rate", 40, "-X", "POST"),
              load("http://details:9080/details/probe", "--rate", 50, pod_name=reviews)]
    begun = time.monotonic()
    for app, accounts in VIEWERS:
        book.apply(viewer(app, *accounts))
        if app == "productpage":
            reach(lambda: book.page()[0].startswith("200"), app)
        elif app == "details":
            reach(lambda: book.page()[1]["details_status"] == 200, app)
        elif app == "reviews":
            reach(lambda: book.page()[1]["reviews_status"] == 200, app)
    assert "200" not in str(outside()["counts"])
    for app, _ in reversed(VIEWERS):
        mesh.delete(AUTHZ, f"{app}-viewer", ns=book.ns)
    reach(lambda: book.page()[1] == DENIED, "all viewers gone")
    assert time.monotonic() - begun < seconds, "the probes ended before the last step"
    for probe in probes:
        got = probe.result()
        assert not [k for k in got["counts"] if k != "403" and not k.startswith("error")], (got["counts"], took)
        assert got["counts"].get("403", 0) > 0.9 * sum(got["counts"].values()) > 300, (got["counts"], got["errors"])
    after = book.count("details-v1", "/details/probe"), book.count("ratings-v1", "/ratings/probe"), book.count("productpage-v1", "/login")
    assert before == after, "the applications were asked"
    mesh.delete(AUTHZ, "deny-all", ns=book.ns)
    reach(lambda: book.ask(details, 1)["counts"] == {"200 details-v1": 1}, "open again")
    mesh.delete("namespace", "street", wait=False)


def test_lab12_without_deny_all_the_viewers_still_guard_their_own(book):
    for app, accounts in VIEWERS[1:]:
        book.apply(viewer(app, *accounts))
    eventually(lambda: book.ask("http://details:9080/details/0", 1)["bodies"] == [DENIED], weft.REACH_S, what="another service account")
    assert book.ask("http://details:9080/details/0", 3, pod_name=book.pods()["reviews-v3"])["counts"] == {"403": 3}, "reviews is no productpage"
    assert book.ask("http://ratings:9080/ratings/0", 3, pod_name=book.pods()["productpage-v1"])["counts"] == {"403": 3}, "nor productpage reviews"
    assert book.ask("http://details:9080/details/0", 3, pod_name=book.pods()["productpage-v1"])["counts"] == {"200 details-v1": 3}
    assert book.page()[0] == "200 productpage-v1", "a service without policy is open"




def test_acc12l4_the_same_steps_without_methods_and_without_a_waypoint(own_mesh, labs):
    """ztunnel alone: a denial is no answer at all, and soon."""
    book = Bookinfo(own_mesh, "l4", "istio.io/dataplane-mode=ambient")
    page, details = lambda: book.page(), "http://details:9080/details/0"
    no_methods = lambda app, *accounts: viewer(app, *accounts).replace(", to: [{operation: {methods: [GET]}}]", "").replace("to: [{operation: {methods: [GET]}}]", "").replace("ns/default/", "ns/l4/")

    def reach(check, what):
        eventually(lambda: check(page()), weft.REACH_S, what=what)
        for _ in range(5):
            assert check(page()), what

    def color(p):
        return [one["rating"] for one in p[1]["reviews"]["reviews"] if "rating" in one]

    reach(lambda p: p[1]["reviews_status"] == 200, "0: all well")
    book.apply(DENY_ALL)
    reach(lambda p: p[0].startswith("error"), "1: denied")
    got = book.ask(details, 5, "--timeout", 2)
    assert got["times"][-1] < 1 and not [key for key in got["counts"] if not key.startswith("error")], "refused, and at once"
    book.apply(no_methods("productpage"))
    reach(lambda p: p[0].startswith("200") and p[1]["details_status"] == 0 and p[1]["reviews_upstream"] == 0, "2: the page alone")
    book.apply(no_methods("details", "bookinfo-productpage"))
    reach(lambda p: p[1]["details_status"] == 200 and p[1]["reviews_upstream"] == 0, "3: and details")
    book.apply(no_methods("reviews", "bookinfo-productpage"))
    reach(lambda p: p[1]["reviews_status"] == 200 and all("error" in one for one in color(p)), "4: and reviews, without stars")
    book.apply(no_methods("ratings", "bookinfo-reviews"))
    reach(lambda p: p[1]["reviews_status"] == 200 and all("color" in one for one in color(p)), "5: all well again")
    assert not [key for key in book.ask(details, 5, "--timeout", 2)["counts"] if key.startswith("200")], "another service account"
    assert book.waypoint_pods() == []
    own_mesh.delete("namespace", "l4", wait=False)


@pytest.mark.skipif(not LONG, reason="the whole workshop takes a minute")
def test_accw_the_workshop_in_one_go(book):
    """Labs 8 to 12 in order without resets: what an attendee sees carries over. Then everything is deleted, last first, and nothing stays."""
    reviews, ratings, N = "http://reviews:9080/reviews/0", "http://ratings:9080/ratings/0", 200
    page_time = lambda: book.page()[2]
    book.until(lambda: len(book.versions(12)) == 3)
    book.sample("destination-rule-all")  # lab 9
    book.sample("virtual-service-all-v1")
    book.until(lambda: book.versions(10) == {"v1": 10})
    book.sample("virtual-service-reviews-test-v2")
    book.until(lambda: book.versions(5, "-H", "end-user: jason") == {"v2": 5} and book.versions(5) == {"v1": 5})
    book.apply(fault_for_jason("{delay: {percentage: {value: 100}, fixedDelay: 7s}}"))  # lab 10
    eventually(lambda: book.page("-H", "end-user: jason")[2] > 5.9, 30, what="6 s for jason")
    assert page_time() < 1
    book.apply(fault_for_jason("{abort: {percentage: {value: 100}, httpStatus: 500}}"))
    book.until(lambda: list(book.ask(ratings, 1, "-H", "end-user: jason")["counts"]) == ["500"])
    book.apply(to_subset("reviews", "v2"))
    book.apply(to_subset("ratings", "v1", "fault: {delay: {percent: 100, fixedDelay: 2s}}, "))
    eventually(lambda: 2 <= page_time() < 2.5, what="2 s for everybody")
    book.apply(to_subset("reviews", "v2", "timeout: 0.5s, "))
    eventually(lambda: book.page()[1]["reviews_upstream"] == 504, what="the timeout")
    book.apply(reviews_spec("route: [{destination: {host: reviews, subset: v1}, weight: 50}, {destination: {host: reviews, subset: v3}, weight: 50}]"))  # lab 11
    eventually(lambda: set(book.versions(8)) == {"v1", "v3"}, 30, what="half and half")
    times = book.ask(reviews, 24, "-c", 8)["times"]
    quick, slow = [t for t in times if t < 1], [t for t in times if t >= 1]
    assert quick and slow and quick[-1] < 0.5 and 2 - 0.01 <= slow[0] <= slow[-1] < 2.5, "ratings is still delayed by lab 10: v3 takes 2 s, v1 none"
    mirror = "route: [{destination: {host: reviews, subset: v3}, weight: 100}], mirror: {host: reviews, subset: v2}, mirror_percent: 50"
    book.apply(reviews_spec(mirror))
    book.until(lambda: book.versions(4) == {"v3": 4}, 60)
    book.apply(DENY_ALL)  # lab 12
    eventually(lambda: book.page()[1] == DENIED, what="1")
    book.apply(viewer("productpage"))
    eventually(lambda: book.page()[0].startswith("200"), what="2")
    book.apply(viewer("details", "bookinfo-productpage"))
    eventually(lambda: book.page()[1]["details_status"] == 200, what="3")
    asked = book.count("reviews-v2", "/reviews")
    for _ in range(20):
        assert book.page()[1]["reviews_upstream"] == 403
    assert book.count("reviews-v2", "/reviews") == asked, "a copy of what is denied is not sent"
    book.apply(viewer("reviews", "bookinfo-productpage"))
    book.apply(viewer("ratings", "bookinfo-reviews"))
    eventually(lambda: book.page()[1]["reviews"]["reviews"][0]["rating"].get("color") == "red", 20, what="5")
    assert 2 - 0.01 <= page_time() < 2.6, "and still 2 s, of lab 10"
    before = book.count("reviews-v2", "/reviews"), book.count("ratings-v1", "/ratings")
    for _ in range(20):
        assert book.page()[0].startswith("200")
    copies = eventually(lambda: book.count("reviews-v2", "/reviews") - before[0], what="copies to v2")
    eventually(lambda: book.count("ratings-v1", "/ratings") - before[1] >= 20 + copies / 2, what="v2 and v3 ask for stars")
    assert book.ask("http://productpage:9080/login", 2, "-X", "POST")["counts"] == {"403": 2}, "jason cannot sign in any more"
    for name in ("ratings-viewer", "reviews-viewer", "details-viewer", "productpage-viewer", "deny-all"):
        book.mesh.delete(AUTHZ, name, ns=book.ns)
    book.clear()
    book.until(lambda: len(book.versions(12)) == 3 and page_time() < 1, what="as at the start")
    for node in ("node1", "node2"):
        text = book.mesh.node_exec(node, "curl", "-sf", "http://127.0.0.1:15000/config_dump").stdout
        assert not [word for word in ("-viewer", "deny-all") if word in text], node
    for name in book.waypoint_pods():
        text = book.mesh.exec(book.ns, name, "curl", "-sf", "http://127.0.0.1:15000/config_dump?include_eds", check=False).stdout
        assert not [word for word in ("|v1|", "|v2|", "|v3|", "-viewer", "deny-all", "fixed_delay", "request_mirror") if word in text], name


def to_subset(host, version, rule=""):
    return f"""
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {{name: {host}}}
spec: {{hosts: [{host}], http: [{{{rule}route: [{{destination: {{host: {host}, subset: {version}}}}}]}}]}}
"""


def reviews_spec(http):
    return f"apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {{name: reviews}}\nspec: {{hosts: [reviews], http: [{{{http}}}]}}\n"


def fault_for_jason(fault):
    to = "route: [{destination: {host: ratings, subset: v1}}]"
    return ("apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: ratings}\nspec:\n  hosts: [ratings]\n  http:\n"
            f"  - {{match: [{{headers: {{end-user: {{exact: jason}}}}}}], fault: {fault}, {to}}}\n  - {{{to}}}\n")
