"""Services and head ends are found by what they expose, and held against the contract and the settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
import trustme

from mdus.bootstrap.discovery import Found, contract_problems, discover, settings_problems
from mdus.contracts.binding import wire
from mdus.contracts.catalog import catalog
from mdus.messaging.outcome import Received
from mdus.messaging.patterns import RequestConfirmation
from mdus.services.device_create import SERVICE
from mdus.settings import load_settings


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An empty package to plant modules in."""
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    import planted  # type: ignore[import-not-found]

    yield planted
    for name in [name for name in sys.modules if name.startswith("planted")]:
        del sys.modules[name]


def plant(package: ModuleType, name: str, text: str) -> None:
    (Path(package.__path__[0]) / f"{name}.py").write_text(text)


def whats(problems: object) -> list[str]:
    return [problem.what for problem in problems]  # type: ignore[attr-defined]


class TestDiscover:
    def test_finds_the_services_and_kinds_there_are(self) -> None:
        found = discover()
        assert found.problems == ()
        assert SERVICE.name in found.services
        assert {"rest", "file_drop"} <= set(found.kinds)
        assert "cmep_flags" in found.tables  # of a kind of head end
        assert "reading_types" in found.tables

    def test_finds_a_service_by_its_file_alone(self, package: ModuleType) -> None:
        plant(package, "a", "from mdus.services.device_create import SERVICE")
        assert list(discover(services=package).services) == [SERVICE.name]

    def test_names_a_module_without_a_service(self, package: ModuleType) -> None:
        plant(package, "a", "SERVICE = 'not a pattern'")
        assert whats(discover(services=package).problems) == ["the module exposes no SERVICE"]

    def test_names_a_service_that_is_there_twice(self, package: ModuleType) -> None:
        for name in ("a", "b"):
            plant(package, name, "from mdus.services.device_create import SERVICE")
        assert whats(discover(services=package).problems) == [f"{SERVICE.name} is served by another module already"]

    def test_names_a_table_with_two_shapes(self, package: ModuleType) -> None:
        plant(package, "a", "from mdus.services.device_create import SERVICE\nTABLES = {'t': int}")
        plant(package, "b", "from mdus.services.register_create import SERVICE\nTABLES = {'t': str}")
        assert whats(discover(services=package).problems) == ["the table t has another shape in another module"]

    def test_names_a_folder_without_a_head_end(self, package: ModuleType) -> None:
        plant(package, "a", "")
        assert whats(discover(headends=package).problems) == ["the folder exposes no HEAD_END"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit(Received):
    """A shape with an element the contract does not know."""

    device_id: str = wire("UtilitiesDevice/IDENTITY")


class TestContract:
    def problems(self, *services: RequestConfirmation) -> list[str]:
        return whats(contract_problems({str(number): one for number, one in enumerate(services)}, catalog()))

    def test_all_services_fit(self) -> None:
        assert whats(contract_problems(discover().services, catalog())) == []

    def test_names_an_unknown_root(self) -> None:
        (problem,) = self.problems(replace(SERVICE, bulk_request="NoSuchRequest"))
        assert "NoSuchRequest" in problem

    def test_names_a_root_that_is_served_twice(self) -> None:
        assert len(self.problems(SERVICE, SERVICE)) == 4

    def test_names_a_bulk_that_is_none(self) -> None:
        exchanged = replace(SERVICE, request=SERVICE.bulk_request, bulk_request=SERVICE.request)
        assert any("is a bulk in the contract" in problem for problem in self.problems(exchanged))

    def test_names_a_message_that_goes_the_other_way(self) -> None:
        exchanged = replace(SERVICE, request=SERVICE.confirmation, confirmation=SERVICE.request)
        assert any("by MDUS, not" in problem for problem in self.problems(exchanged))

    def test_names_what_does_not_fit_in_a_shape(self) -> None:
        assert any("IDENTITY" in problem for problem in self.problems(replace(SERVICE, shape=Misfit)))

    def test_names_an_order_by_what_no_field_is(self) -> None:
        (problem,) = self.problems(replace(SERVICE, order_by="meter"))
        assert "has no field meter" in problem


class TestSettings:
    def problems(self, **row: str) -> list[str]:
        given = {"kind": "rest", "url": "http://127.0.0.1:9", **row}
        environ = {f"MDUS_HEAD_ENDS__NORTH__{name.upper()}": value for name, value in given.items()}
        return whats(settings_problems(discover(), load_settings(environ, tables=discover().tables)))

    def test_known_kind_passes(self) -> None:
        assert self.problems(callback_url="http://127.0.0.1:8080/head-ends/north") == []

    def test_unknown_kind_is_named(self) -> None:
        assert self.problems(kind="telegraph") == ["there is no kind of head end 'telegraph'"]

    def test_that_is_called_needs_an_address_and_one_that_delivers_files_none(self) -> None:
        def problems(kind: str) -> list[str]:
            settings = load_settings({"MDUS_HEAD_ENDS__NORTH__KIND": kind}, tables=discover().tables)
            return whats(settings_problems(discover(), settings))

        assert problems("rest") == ["a head end of kind rest is called, and has no address"]
        assert problems("file_drop") == []

    @pytest.mark.parametrize(
        ("kind", "url"),
        [
            ("rest", "http://127.0.0.1:9"),
            ("rest", "https://127.0.0.1:9"),
            ("mqtt", "mqtt://127.0.0.1:9"),
            ("mqtt", "mqtts://127.0.0.1:9"),
        ],
    )
    def test_address_of_its_kind_passes(self, kind: str, url: str) -> None:
        assert self.problems(kind=kind, url=url) == []

    @pytest.mark.parametrize(
        ("kind", "url", "scheme"),
        [
            pytest.param("mqtt", "https://127.0.0.1:8883", "https", id="a broker by https"),
            pytest.param("mqtt", "http://127.0.0.1:1883", "http", id="a broker by http"),
            pytest.param("rest", "mqtts://127.0.0.1:8883", "mqtts", id="rest by mqtts"),
        ],
    )
    def test_address_of_another_kind_is_named(self, kind: str, url: str, scheme: str) -> None:
        (problem,) = self.problems(kind=kind, url=url)
        assert problem == f"a head end of kind {kind} is not called by {scheme}://"

    @pytest.mark.parametrize(
        ("kind", "url", "fits"),
        [
            pytest.param("rest", "https://127.0.0.1:9", True, id="https"),
            pytest.param("rest", "http://127.0.0.1:9", False, id="http"),
            pytest.param("mqtt", "mqtts://127.0.0.1:9", True, id="mqtts"),
            pytest.param("mqtt", "mqtt://127.0.0.1:9", False, id="mqtt"),
            pytest.param("file_drop", "https://127.0.0.1:9", False, id="one that is not called"),
        ],
    )
    def test_authorities_that_nothing_is_held_against_are_named(
        self, tmp_path: Path, kind: str, url: str, *, fits: bool
    ) -> None:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        found = self.problems(kind=kind, url=url, ca_file=str(tmp_path / "ca.pem"))
        assert ["no certificate is shown without TLS" in each for each in found] == ([] if fits else [True])

    @pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
    def test_options_for_tls_without_it_are_named(self, tmp_path: Path, scheme: str) -> None:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        (tmp_path / "head_ends.toml").write_text(
            f'[[head_ends]]\nname = "north"\nkind = "mqtt"\nurl = "{scheme}://127.0.0.1:9"\n'
            f'options = {{ ca = "{tmp_path / "ca.pem"}" }}\n'
        )
        settings = load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=discover().tables)
        found = whats(settings_problems(discover(), settings))
        assert ["let the row's url begin with mqtts://" in each for each in found] == [True] * (scheme == "mqtt")

    def test_callback_that_leads_elsewhere_is_named(self) -> None:
        (problem,) = self.problems(callback_url="http://127.0.0.1:8080/head-ends/south")
        assert "/head-ends/north" in problem

    def test_unknown_service_of_a_sender_is_named(self) -> None:
        row = {"USER": "u", "PASSWORD": "p", "SYSTEMS": "P11", "DEFAULT_SYSTEM": "P11"}
        environ = {f"MDUS_SENDERS__P11__{key}": value for key, value in row.items()}
        environ["MDUS_SENDERS__P11__SINGLE_SERVICES"] = f"{SERVICE.name},NoSuchService"
        settings = load_settings(environ, tables=discover().tables)
        assert whats(settings_problems(discover(), settings)) == ["there is no service 'NoSuchService'"]

    def test_empty_installation_has_no_services(self) -> None:
        assert Found().services == {}
