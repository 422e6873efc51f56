"""The drawn tables of customers and their orders."""

from __future__ import annotations

import io

import pandas as pd

from tasks.params import DataParams
from tasks.sources.shop import CUSTOMERS, ShopSource


def read(name: str, seed: int = 0) -> pd.DataFrame:
    (file,) = ShopSource(DataParams(source=f"shop://{name}", seed=seed)).look()
    return pd.read_csv(io.BytesIO(file.open().read()))


def test_orders_belong_to_customers_come_after_their_first_day_and_one_after_another() -> None:
    customers, orders = read("customers"), read("orders")
    assert (len(customers), customers["id"].is_unique, orders["order"].is_unique) == (CUSTOMERS, True, True)
    assert ShopSource(DataParams(source="shop://orders")).check() == len(orders)
    both = orders.merge(customers, left_on="customer", right_on="id")
    assert len(both) == len(orders)
    assert (both["day"] > both["since"]).all()
    assert orders.groupby("customer")["day"].is_monotonic_increasing.all()
    assert set(customers["id"]) > set(orders["customer"])


def test_they_follow_the_seed_and_the_two_agree_on_it() -> None:
    assert read("orders", 1).equals(read("orders", 1))
    assert not read("customers", 1).equals(read("customers"))
    pro = read("customers", 1).set_index("id")["plan"] == "pro"
    counts = read("orders", 1)["customer"].value_counts().reindex(pro.index, fill_value=0)
    assert counts[pro].mean() > 2 * counts[~pro].mean()
