"""Names of columns in other languages, as exports of investing.com, Yahoo, brokers and exchanges write them."""

from __future__ import annotations

VALUES = {
    "open": (
        *("eröffnung", "eröffn_", "eroeffnung", "erster", "ouverture", "ouv_", "apertura", "abertura"),
        *("откр_", "открытие", "开盘", "开盘价", "始値", "시가"),
    ),
    "high": (
        *("hoch", "plus_haut", "haut", "máximo", "maximo", "máx_", "máxima", "massimo", "max_"),
        *("макс_", "максимум", "最高", "最高价", "高値", "고가"),
    ),
    "low": (
        *("tief", "plus_bas", "bas", "mínimo", "minimo", "mín_", "mínima", "min_"),
        *("мин_", "минимум", "最低", "最低价", "安値", "저가"),
    ),
    "close": (
        *("schluss", "schlusskurs", "zuletzt", "clôture", "dernier", "cierre", "último", "fechamento", "ultimo"),
        *("цена", "закр_", "закрытие", "收盘", "收盘价", "終値", "종가"),
    ),
    "volume": (
        *("volumen", "volumes", "stück", "stuecke", "umsatz"),
        *("объём", "объем", "成交量", "出来高", "거래량"),
    ),
}
DATES = ("datum", "fecha", "data", "дата", "日期", "日付", "날짜")
CLOCKS = ("hora", "zeit", "uhrzeit", "время", "时间", "時刻")
